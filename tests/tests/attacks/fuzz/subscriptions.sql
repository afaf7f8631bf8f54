SELECT message_store.drop_subscription(subscriber_id) FROM unnest(ARRAY[
  'of:{me}', 'fetched:{me}', 'group:{me}', 'run:{me}', 'stopped:{me}', 'counted:{me}']) AS subscriber_id;
SELECT message_store.create_subscription('of:{me}', 'fuzz', '{"$any": "fuzz.handle"}',
    '{"retries": 0, "on_failure": "park", "park": "message", "read_model": ["fuzz.pages"], "init": "fuzz.prepare"}'),
  message_store.create_subscription('fetched:{me}', 'fuzz', '{}'),
  message_store.create_subscription('group:{me}', 'fuzz', '{"$any": "fuzz.leave_behind"}',
    '{"group_size": 3, "retries": 1, "retry_delay": "0", "on_failure": "park"}'),
  message_store.create_subscription('run:{me}', '$all', '{"T": "fuzz.handle_run"}',
    '{"retries": 0, "read_model": [{"table": "fuzz.pages", "where": "n > 0"}], "start_from": "now"}'),
  message_store.create_subscription('stopped:{me}', 'fuzz', '{"$any": "fuzz.fail"}',
    '{"retries": 1, "retry_delay": "0", "start_from": "now"}'),
  message_store.create_subscription('counted:{me}', 'viewings',
    '{"$any": "message_store.increment_videos_watched"}',
    '{"read_model": ["message_store.read_model_pages"], "init": "message_store.ensure_home_page"}')
