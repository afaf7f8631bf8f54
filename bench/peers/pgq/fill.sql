-- A batch, and the tick that makes it one for the consumer.
SELECT count(pgq.insert_event(
  'viewings', 'VideoViewed', '{"userId": "' || gen_random_uuid() || '", "videoId": "streams"}',
  stream, NULL, NULL, NULL
))
FROM (SELECT 'viewings-' || gen_random_uuid() AS stream OFFSET 0) AS new, generate_series(1, 1000);
SELECT pgq.ticker('viewings');
