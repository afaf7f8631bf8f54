-- EXPLAIN ANALYZE makes a temporary table named as a catalog; the session's next query runs its code.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'EXPLAIN ANALYZE CREATE TEMP TABLE pg_roles AS SELECT m.boom() AS rolname';
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
SELECT count(*) FROM pg_roles;
-- check
SELECT last_sqlstate = '42501' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
