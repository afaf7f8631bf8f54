CREATE FUNCTION message_store.is_category(stream_name varchar) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'is_category';

COMMENT ON FUNCTION message_store.is_category(varchar) IS
  'Whether the name has no dash: true for account, false for account-123. True for NULL. Message DB: is_category.';
