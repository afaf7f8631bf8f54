CREATE FUNCTION message_store.park(
  subscriber_id varchar,
  global_position bigint,
  error text,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'park';

COMMENT ON FUNCTION message_store.park(varchar, bigint, text, bigint) IS
  'Puts aside a fetched message that the application cannot handle, as a failing handler is by the policy park; later messages of its stream wait behind it. Messages before it count as handled, and the lease ends: fetch again. Errors: 42704, 42501, 22023, 55000 (the lease ran out).';
