CREATE FUNCTION message_store.park(
  subscriber_id varchar,
  global_position bigint,
  error text,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'park';

COMMENT ON FUNCTION message_store.park(varchar, bigint, text, bigint) IS
  'Parks a fetched message that the application cannot handle, as the policy park does with a failing handler. Later messages of its stream wait behind it. The messages before it count as handled. The lease ends, so fetch again. Errors: 42704, 42501, 22023, 55000 (the lease ran out).';
