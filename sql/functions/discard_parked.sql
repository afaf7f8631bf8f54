CREATE FUNCTION message_store.discard_parked(
  subscriber_id varchar,
  reason varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'discard_parked';

COMMENT ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar) IS
  'Gives up failed parked messages for good, also for rebuilds: all, or those with this position, stream or SQLSTATE. Messages that wait behind one are handled by the next ticks. Returns how many. The reason is kept. Errors: 42704, 42501, 22023.';
