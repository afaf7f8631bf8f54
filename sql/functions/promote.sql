CREATE FUNCTION message_store.promote(subscriber_id varchar) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'promote';

COMMENT ON FUNCTION message_store.promote(varchar) IS
  'Replaces the live read model by the copy that rebuild(subscriber_id, side_by_side => true) has filled, in this transaction. First, the copy catches up to the live position. Errors: 42704, 42501, 55000 (no copy, or too far behind).';
