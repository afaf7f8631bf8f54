CREATE FUNCTION message_store.tick(
  subscriber_id varchar,
  batch_size bigint DEFAULT 1000
) RETURNS message_store.tick_result
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tick';

COMMENT ON FUNCTION message_store.tick(varchar, bigint) IS
  'One pass of a subscription: reads up to batch_size settled messages, hands each to the handler of its type with the owner''s rights, and stores the position. Effects and position commit together. Returns at once where another session ticks. Errors: 42704, 22023, 25001, and those of handlers, which leave the position where it was.';
