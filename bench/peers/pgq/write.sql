SELECT pgq.insert_event(
  'viewings', 'VideoViewed', '{"userId": "' || gen_random_uuid() || '", "videoId": "streams"}',
  'viewings-' || gen_random_uuid(), NULL, NULL, NULL
);
