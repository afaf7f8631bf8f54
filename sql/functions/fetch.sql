CREATE FUNCTION message_store.fetch(
  subscriber_id varchar,
  n bigint,
  lease interval,
  member bigint DEFAULT NULL
) RETURNS SETOF message_store.fetched_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'fetch';

COMMENT ON FUNCTION message_store.fetch(varchar, bigint, interval, bigint) IS
  'Returns the next settled messages, at most n, of a subscription without handlers, and leases them to the caller. Until the lease ends, nobody else gets messages of the same member. Call ack() to say how far the messages are handled. When the lease runs out, the rest is fetched again. Delivery is at least once and in order. No rows means: nothing to do, the subscription is paused, or somebody else has the lease. Errors: 42704, 42501, 22023, 25001, 55000.';
