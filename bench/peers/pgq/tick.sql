SELECT pgq.ticker('viewings');
