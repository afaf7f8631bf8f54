CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages jsonb,
  expected_version bigint DEFAULT NULL,
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages_to';

COMMENT ON FUNCTION message_store.write_messages(varchar, jsonb, bigint, varchar) IS
  'Writes messages to the end of one stream, all or none, and returns a row for each, in order. messages: a JSON array of objects with type, and where wanted data, metadata and id; null is as good as absent; element 0 is messages[0] in errors. expected_version: the position of the stream''s last message before the batch, -1 for none. For the rest see write_messages(new_message[]).';
