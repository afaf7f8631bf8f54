CREATE FUNCTION message_store.get_all_messages(
  "position" bigint DEFAULT 1,
  batch_size bigint DEFAULT 1000
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_all_messages';

COMMENT ON FUNCTION message_store.get_all_messages(bigint, bigint) IS
  'Returns settled messages of all categories in order, from a global position on. batch_size: the most messages to return; -1 means all. Needs READ COMMITTED (25001).';
