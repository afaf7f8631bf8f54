CREATE FUNCTION message_store.cardinal_id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cardinal_id';

COMMENT ON FUNCTION message_store.cardinal_id(varchar) IS
  'The id up to its first plus sign: 123 for account-123+456. NULL for a category. Consumer groups share out streams by it. Message DB: cardinal_id.';
