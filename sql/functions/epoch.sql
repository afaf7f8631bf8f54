CREATE FUNCTION message_store.epoch() RETURNS uuid
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'epoch';

COMMENT ON FUNCTION message_store.epoch() IS
  'The epoch of the log, to be kept with every position that is kept outside of the database. Begins a new one where the server was promoted or restored since. On a standby: the newest that has come to it. Errors: 25006.';
