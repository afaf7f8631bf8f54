CREATE FUNCTION message_store.resize_group(
  subscriber_id varchar,
  group_size bigint
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'resize_group';

COMMENT ON FUNCTION message_store.resize_group(varchar, bigint) IS
  'Changes the number of a consumer group''s members while it runs. Members of the old size first bring every message up to the furthest of them to an end; then those of the new size begin. Errors: 42704, 42501, 22023, 55000 (an earlier change has not ended).';
