CREATE FUNCTION message_store.record_horizons() RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'record_horizons';

COMMENT ON FUNCTION message_store.record_horizons() IS
  'Writes down how far messages are settled, for readers on standbys, which cannot prove it: at most ten times a second, nothing where nothing has changed. True where all that was drawn is settled and written down; false: call it again in a while. Orchestrators do. Errors: 25001, 25006.';
