CREATE FUNCTION message_store.cancel_rebuild(subscriber_id varchar) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'cancel_rebuild';

COMMENT ON FUNCTION message_store.cancel_rebuild(varchar) IS
  'Drops the copy that rebuild(subscriber_id, side_by_side => true) made. Returns false when there is no copy. Errors: 42704, 42501.';
