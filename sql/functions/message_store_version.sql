CREATE FUNCTION message_store.message_store_version() RETURNS varchar
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'message_store_version';

COMMENT ON FUNCTION message_store.message_store_version() IS
  'The version of Message DB whose interface this is: 1.3.0. The version of the extension itself is in pg_extension. Message DB: message_store_version.';
