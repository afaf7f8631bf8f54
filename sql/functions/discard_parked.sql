CREATE FUNCTION message_store.discard_parked(
  subscriber_id varchar,
  reason varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL,
  global_positions bigint[] DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'discard_parked_of_0_3';

COMMENT ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]) IS
  'Gives up parked messages that failed: no tick and no rebuild handles them. Takes all of them, or those with this position, stream or SQLSTATE, or at these positions. The next ticks handle the messages that wait behind them. Returns how many were discarded. The reason is kept. Errors: 42704, 42501, 22023, 55000 (a copy that is being filled beside the live read model has handled one of them).';
