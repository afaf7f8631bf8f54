-- A handler ends the session that ticks it.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_cancel_backend(pg_backend_pid());
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT last_sqlstate = '42501' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
