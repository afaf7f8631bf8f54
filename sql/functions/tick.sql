CREATE FUNCTION message_store.tick(
  subscriber_id varchar,
  batch_size bigint DEFAULT NULL,
  member bigint DEFAULT NULL
) RETURNS message_store.tick_result
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tick_of_0_3';

COMMENT ON FUNCTION message_store.tick(varchar, bigint, bigint) IS
  'Runs one pass of a subscription. Reads up to batch_size settled messages, calls the handler of each one''s type with the owner''s rights, and stores the position. Effects and position commit together. batch_size: NULL means the option batch_size, or else 1000. Returns at once when another session ticks. When a handler fails, the subscription''s policy decides what happens, and the result says it. Inside a transaction of the caller, a tick also reads the caller''s own messages, and stops before those of other open transactions. member: of a consumer group; NULL means the free one that is furthest behind. Errors: 42704, 22023, 25001, 55000.';
