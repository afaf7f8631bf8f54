CREATE FUNCTION message_store.get_last_stream_message(
  stream_name varchar,
  type varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_last_stream_message';

COMMENT ON FUNCTION message_store.get_last_stream_message(varchar, varchar) IS
  'Returns the last message of a stream, or its last message of a type. Message DB: get_last_stream_message.';
