-- The function is called by an aggregate and an operator of the handler's own.
-- m
CREATE FUNCTION m.take(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 FROM (SELECT pg_advisory_lock(77)) x';
CREATE FUNCTION m.take3(bigint, bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT m.take($1, $2)';
CREATE AGGREGATE m.agg(bigint, bigint) (SFUNC = m.take3, STYPE = bigint);
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM m.agg(77::bigint, 77::bigint);
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 77
