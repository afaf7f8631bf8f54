CREATE FUNCTION message_store.acquire_lock(stream_name varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'acquire_lock';

COMMENT ON FUNCTION message_store.acquire_lock(varchar) IS
  'Takes the advisory lock of the stream''s category until the end of the transaction and returns its key. Writers here do not take it. Message DB: acquire_lock.';
