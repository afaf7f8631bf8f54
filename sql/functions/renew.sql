CREATE FUNCTION message_store.renew(
  subscriber_id varchar,
  duration interval,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'renew';

COMMENT ON FUNCTION message_store.renew(varchar, interval, bigint) IS
  'Lets the lease last this long from now. An application calls it while a message takes longer than it said to fetch. lease: as fetch returned it; NULL means the last one that this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or belongs to somebody else).';
