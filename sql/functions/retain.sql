CREATE FUNCTION message_store.retain(
  category varchar,
  keep interval,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'retain';

COMMENT ON FUNCTION message_store.retain(varchar, interval, varchar) IS
  'Declares how long messages of a category are kept; NULL: for ever. Deletes nothing itself: apply_retention() does, which orchestrators call. Errors: 22023, 42501.';
