CREATE FUNCTION message_store.ack(
  subscriber_id varchar,
  global_position bigint,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'ack';

COMMENT ON FUNCTION message_store.ack(varchar, bigint, bigint) IS
  'Stores that the application has handled the messages of its lease up to this global position; messages that were parked and are handled again come in batches of their own. lease: from fetch; NULL for the last one this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or is another''s).';
