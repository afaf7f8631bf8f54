SELECT message_store.write_message(
  gen_random_uuid()::varchar, 'viewings-' || gen_random_uuid(), 'VideoViewed',
  jsonb_build_object('userId', gen_random_uuid(), 'videoId', 'streams')
);
