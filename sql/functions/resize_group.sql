CREATE FUNCTION message_store.resize_group(
  subscriber_id varchar,
  group_size bigint
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'resize_group';

COMMENT ON FUNCTION message_store.resize_group(varchar, bigint) IS
  'Changes the number of members of a consumer group while it runs. First, the old members catch up with the one that is furthest ahead. Then the new members begin. Errors: 42704, 42501, 22023, 55000 (an earlier change has not ended).';
