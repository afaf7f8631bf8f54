CREATE FUNCTION message_store.renew(
  subscriber_id varchar,
  duration interval,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'renew';

COMMENT ON FUNCTION message_store.renew(varchar, interval, bigint) IS
  'Lets a lease that has not run out last so long from now: for an application that needs longer than it said to fetch. lease: from fetch; NULL for the last one this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or is another''s).';
