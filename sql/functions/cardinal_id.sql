CREATE FUNCTION message_store.cardinal_id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cardinal_id';

COMMENT ON FUNCTION message_store.cardinal_id(varchar) IS
  'The id up to its first plus sign; NULL for a category. Consumer groups share out by it. Message DB: cardinal_id.';
