CREATE FUNCTION message_store.id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'id';

COMMENT ON FUNCTION message_store.id(varchar) IS
  'The part of a stream name after its first dash: 123 for account-123. NULL for a category. Message DB: id.';
