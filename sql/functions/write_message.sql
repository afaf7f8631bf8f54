CREATE FUNCTION message_store.write_message(
  id varchar,
  stream_name varchar,
  "type" varchar,
  data jsonb,
  metadata jsonb DEFAULT NULL,
  expected_version bigint DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_message';

COMMENT ON FUNCTION message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) IS
  'Appends a message to a stream and returns its position there. The first position is 0. id: a UUID, unique in the log (22P02, 23505). stream_name: at most 2,600 bytes; type: not empty (22023). expected_version: the position of the stream''s last message, or -1 if it has none; another one is refused (P0001, Wrong expected version). Waits for an open transaction that writes to the same stream. Message DB: write_message.';
