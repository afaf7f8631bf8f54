-- A handler ends the transaction of whoever ticks.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  BEGIN EXECUTE 'COMMIT'; EXCEPTION WHEN OTHERS THEN NULL; END; BEGIN EXECUTE 'ROLLBACK'; EXCEPTION WHEN OTHERS THEN NULL; END; COMMIT;
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT last_sqlstate = '2D000' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
