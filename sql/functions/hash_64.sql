CREATE FUNCTION message_store.hash_64(value varchar) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'hash_64';

COMMENT ON FUNCTION message_store.hash_64(varchar) IS
  'The first eight bytes of the MD5 sum, as a signed number. Message DB: hash_64.';
