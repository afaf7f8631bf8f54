-- EXECUTE is the privilege to write and to steer subscriptions: not for everybody.
-- The parsing functions stay PUBLIC, since indexes and views of the store use them.
REVOKE EXECUTE ON FUNCTION
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.ensure_home_page(),
  message_store.increment_videos_watched(bigint),
  message_store.increment_videos_watched(bigint[]),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.start(varchar),
  message_store.tick(varchar, bigint)
FROM PUBLIC;

REVOKE EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.ensure_home_page(),
  message_store.increment_videos_watched(bigint),
  message_store.increment_videos_watched(bigint[]),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.start(varchar),
  message_store.tick(varchar, bigint)
TO message_store;

GRANT EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) TO message_store;

GRANT USAGE ON SCHEMA message_store TO message_store;
