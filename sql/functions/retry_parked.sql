CREATE FUNCTION message_store.retry_parked(
  subscriber_id varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL,
  global_positions bigint[] DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'retry_parked_of_0_3';

COMMENT ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]) IS
  'Lets the next ticks handle failed parked messages again. Takes all of them, or those with this position, stream or SQLSTATE, or at these positions. The messages that wait behind them follow. Returns how many will be retried. Errors: 42704, 42501.';
