CREATE FUNCTION message_store.promote(subscriber_id varchar) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'promote';

COMMENT ON FUNCTION message_store.promote(varchar) IS
  'Lets the copy that rebuild(subscriber_id, side_by_side => true) has filled take the place of the live read model, in this transaction: catches up to the live position first. Errors: 42704, 42501, 55000 (no copy, or too far behind).';
