CREATE FUNCTION message_store.get_stream_messages(
  stream_name varchar,
  "position" bigint DEFAULT 0,
  batch_size bigint DEFAULT 1000,
  condition varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_stream_messages';

COMMENT ON FUNCTION message_store.get_stream_messages(varchar, bigint, bigint, varchar) IS
  'Messages of a stream from a position on, in order. batch_size: how many at most, -1 for all. condition: SQL over messages, with the caller''s rights, where message_store.sql_condition is on. Message DB: get_stream_messages.';
