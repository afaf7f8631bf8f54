SELECT count(*)
FROM (SELECT 'viewings-' || gen_random_uuid() AS stream OFFSET 0) AS new,
message_store.write_messages(ARRAY(
  SELECT ROW(
    stream, 'VideoViewed',
    jsonb_build_object('userId', gen_random_uuid(), 'videoId', 'streams'), NULL, NULL, NULL
  )::message_store.new_message
  FROM generate_series(1, 1000)
));
