CREATE FUNCTION message_store.acquire_lock(stream_name varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'acquire_lock';

COMMENT ON FUNCTION message_store.acquire_lock(varchar) IS
  'Takes the advisory lock of the stream''s category until the transaction ends, and returns the lock''s key. Writers of this store do not take this lock. Message DB: acquire_lock.';
