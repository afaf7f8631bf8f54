CREATE FUNCTION message_store.ack(
  subscriber_id varchar,
  global_position bigint,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'ack';

COMMENT ON FUNCTION message_store.ack(varchar, bigint, bigint) IS
  'Says that the application has handled the messages of its lease up to this global position. Parked messages that are retried come in batches of their own. lease: as fetch returned it; NULL means the last one that this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or belongs to somebody else).';
