-- A handler gives back a lock that the session holds.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_unlock(77), pg_advisory_unlock_all();
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT pg_advisory_lock(77);
SELECT message_store.tick('mo');
-- check
SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 77
