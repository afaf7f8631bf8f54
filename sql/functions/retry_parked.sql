CREATE FUNCTION message_store.retry_parked(
  subscriber_id varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'retry_parked';

COMMENT ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar) IS
  'Lets the next ticks handle failed parked messages again: all, or those with this position, stream or SQLSTATE. Messages that wait behind one follow it. Returns how many. Errors: 42704, 42501.';
