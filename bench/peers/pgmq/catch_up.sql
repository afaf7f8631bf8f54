SELECT bench.count_viewings(1000);
