CREATE FUNCTION message_store.promote(
  subscriber_id varchar,
  may_empty boolean DEFAULT false
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'promote';

COMMENT ON FUNCTION message_store.promote(varchar, boolean) IS
  'Replaces the live read model by the copy that rebuild(subscriber_id, side_by_side => true) has filled, in this transaction. First, the copy catches up to the live position. may_empty: also replaces the rows of a table by none. Errors: 42704, 42501, 55000 (no copy, too far behind, or a copy without rows).';
