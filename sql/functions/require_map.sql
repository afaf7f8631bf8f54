CREATE FUNCTION message_store.require_map(map bigint) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'require_map';

COMMENT ON FUNCTION message_store.require_map(bigint) IS
  'For a router: an error where the map of shards has another version, and until the end of the transaction it does not get one. Errors: 25006, 40001 (another version), 55000 (no shard).';
