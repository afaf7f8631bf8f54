CREATE FUNCTION message_store.erasure_remains(erasure bigint)
RETURNS TABLE (place varchar, finding varchar, repair varchar)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'erasure_remains';

COMMENT ON FUNCTION message_store.erasure_remains(bigint) IS
  'Lists what may still hold the data of an erasure, as far as this server can know, and how to be rid of it: dead rows until VACUUM, the write-ahead log and its archive, slots, standbys, backups, read models. Errors: 22023, 42501.';
