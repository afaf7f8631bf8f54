SELECT bench.count_viewings();
