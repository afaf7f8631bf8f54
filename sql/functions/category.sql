CREATE FUNCTION message_store.category(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'category';

COMMENT ON FUNCTION message_store.category(varchar) IS
  'The part of a stream name before its first dash; the whole name where there is none. Message DB: category.';
