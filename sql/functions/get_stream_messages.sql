CREATE FUNCTION message_store.get_stream_messages(
  stream_name varchar,
  "position" bigint DEFAULT 0,
  batch_size bigint DEFAULT 1000,
  condition varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_stream_messages';

COMMENT ON FUNCTION message_store.get_stream_messages(varchar, bigint, bigint, varchar) IS
  'Returns messages of a stream in order, from a position on. batch_size: the most messages to return; -1 means all. condition: SQL over messages. It runs with the caller''s rights, and only if message_store.sql_condition is on. Message DB: get_stream_messages.';
