CREATE FUNCTION message_store.stream_version(stream_name varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'stream_version';

COMMENT ON FUNCTION message_store.stream_version(varchar) IS
  'The position of a stream''s last message. NULL for a stream without messages. Message DB: stream_version.';
