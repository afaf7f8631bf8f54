SELECT pgmq.send(
  'viewings',
  jsonb_build_object('userId', gen_random_uuid(), 'videoId', 'streams'),
  jsonb_build_object('type', 'VideoViewed', 'x-pgmq-group', 'viewings-' || gen_random_uuid())
);
