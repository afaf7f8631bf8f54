-- A session's advisory lock that a handler takes stays.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_lock(77);
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 77
