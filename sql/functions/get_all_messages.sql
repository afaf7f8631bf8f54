CREATE FUNCTION message_store.get_all_messages(
  "position" bigint DEFAULT 1,
  batch_size bigint DEFAULT 1000
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_all_messages';

COMMENT ON FUNCTION message_store.get_all_messages(bigint, bigint) IS
  'Settled messages of every category from a global position on, in order. batch_size: how many at most, -1 for all. Needs READ COMMITTED (25001).';
