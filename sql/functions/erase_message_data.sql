CREATE FUNCTION message_store.erase_message_data(
  reason varchar,
  stream_name varchar DEFAULT NULL,
  id varchar DEFAULT NULL,
  metadata_path jsonpath DEFAULT NULL,
  variables jsonb DEFAULT '{}',
  category varchar DEFAULT NULL
) RETURNS TABLE (erasure bigint, erased bigint, erased_before bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'erase_message_data';

COMMENT ON FUNCTION message_store.erase_message_data(varchar, varchar, varchar, jsonpath, jsonb, varchar) IS
  'Erases data and metadata of the messages of a stream, of one message by id, or of those whose metadata have what a path finds, in one category or in all. Their places, types and ids stay; data become {} and metadata {"erased": true}. Errors that were kept of them go, a lease on them ends, and a copy that is being filled begins again. Returns the number for erasure_remains(), how many lost their data, and how many had lost them before. Errors: 22023, 22P02, 42501, P0002 (no message is meant).';
