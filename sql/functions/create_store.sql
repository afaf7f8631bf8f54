CREATE FUNCTION message_store.create_store() RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, message_store, pg_temp
SET client_min_messages = warning
AS 'MODULE_PATHNAME', 'create_store';

COMMENT ON FUNCTION message_store.create_store() IS
  'Makes the tables, indexes and views of a message store where they are missing, and brings tables of an older version up to date. The caller owns them. Call it after CREATE EXTENSION. ALTER EXTENSION message_store UPDATE calls it where there is a store.';
