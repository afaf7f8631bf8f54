CREATE FUNCTION message_store.category(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'category';

COMMENT ON FUNCTION message_store.category(varchar) IS
  'The part of a stream name before its first dash: account for account-123. Without a dash, it is the whole name. Message DB: category.';
