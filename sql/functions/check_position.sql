CREATE FUNCTION message_store.check_position(epoch uuid, "position" bigint) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'check_position';

COMMENT ON FUNCTION message_store.check_position(uuid, bigint) IS
  'Returns a global position that was kept outside of the database, if what lies before it is in this log for certain. Else an error (55000) that says from where to begin again. Errors: 22023, 55000.';
