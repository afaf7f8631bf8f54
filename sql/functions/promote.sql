CREATE FUNCTION message_store.promote(
  subscriber_id varchar,
  may_empty boolean DEFAULT false,
  dry boolean DEFAULT false
) RETURNS TABLE (read_model text, added bigint, removed bigint, changed bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'promote_of_0_3';

COMMENT ON FUNCTION message_store.promote(varchar, boolean, boolean) IS
  'Replaces the live read model by the copy that rebuild(subscriber_id, side_by_side => true) has filled, in this transaction. First, the copy catches up to the live position. Returns a row for each table: how many rows come, go and change. may_empty: also replaces the rows of a table by none. dry: only says what would change. Errors: 42704, 42501, 0A000, 55000 (no copy, too far behind, a copy without rows, or a table that was altered since).';
