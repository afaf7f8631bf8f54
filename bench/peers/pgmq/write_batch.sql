SELECT count(*)
FROM (
  SELECT
    array_agg(jsonb_build_object('userId', gen_random_uuid(), 'videoId', 'streams')) AS messages,
    jsonb_build_object('type', 'VideoViewed', 'x-pgmq-group', 'viewings-' || gen_random_uuid())
      AS header
  FROM generate_series(1, 1000)
) AS batch,
pgmq.send_batch('viewings', messages, array_fill(header, ARRAY[1000]));
