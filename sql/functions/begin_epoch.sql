CREATE FUNCTION message_store.begin_epoch(
  reason varchar,
  above bigint DEFAULT NULL
) RETURNS uuid
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'begin_epoch';

COMMENT ON FUNCTION message_store.begin_epoch(varchar, bigint) IS
  'Begins an epoch by hand, after a restore that the server does not know of (a snapshot of its disk). New messages get global positions above the argument, which must be above all that were ever drawn; by default as far above those drawn here as can have been drawn since the newest message, and a million at least. Errors: 22023, 42501.';
