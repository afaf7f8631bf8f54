CREATE FUNCTION message_store.tick(
  subscriber_id varchar,
  batch_size bigint DEFAULT NULL,
  member bigint DEFAULT NULL
) RETURNS message_store.tick_result
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tick';

COMMENT ON FUNCTION message_store.tick(varchar, bigint, bigint) IS
  'One pass of a subscription: reads up to batch_size settled messages (default: its option batch_size, else 1000), hands each to the handler of its type with the owner''s rights, and stores the position. Effects and position commit together. Returns at once where another session ticks. A handler that fails is dealt with as the subscription''s policy says, and the result tells. Inside a transaction of the caller it sees the caller''s own messages, and stops before those of others that are in flight. member: of a consumer group; NULL for whichever is free and furthest behind. Errors: 42704, 22023, 25001, 55000.';
