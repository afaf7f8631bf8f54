CREATE FUNCTION message_store.fetch(
  subscriber_id varchar,
  n bigint,
  lease interval,
  member bigint DEFAULT NULL
) RETURNS SETOF message_store.fetched_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'fetch';

COMMENT ON FUNCTION message_store.fetch(varchar, bigint, interval, bigint) IS
  'The next settled messages, at most n, for a subscription without handlers, leased to the caller: nobody else gets messages of the member meanwhile. ack() says how far they are handled; what was not acknowledged when the lease runs out is fetched again. Delivery is at least once and in order. No rows: nothing to do, paused, or leased to another. Errors: 42704, 42501, 22023, 25001, 55000.';
