CREATE FUNCTION message_store.confirm_epoch(
  epoch uuid,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'confirm_epoch';

COMMENT ON FUNCTION message_store.confirm_epoch(uuid, varchar) IS
  'Confirms that nothing was lost when an epoch began, as with synchronous replication: positions of the epochs before stay good. Errors: 22023 (there is no such epoch), 42501.';
