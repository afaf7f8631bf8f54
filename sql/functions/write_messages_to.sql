CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages jsonb,
  expected_version bigint DEFAULT NULL,
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages_to';

COMMENT ON FUNCTION message_store.write_messages(varchar, jsonb, bigint, varchar) IS
  'Appends messages to one stream, all or none. Returns a row for each, in order. messages: a JSON array of objects with a type and, if wanted, data, metadata and id. null is the same as absent. Errors call the first one messages[0]. expected_version: the position of the stream''s last message before the batch, or -1 if it has none. The rest is as in write_messages(new_message[]).';
