-- A function that opens a cursor over SQL in text.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ts_stat('CREATE TEMP TABLE x (y int)');
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT last_sqlstate IS NOT NULL FROM message_store.subscription_status WHERE subscriber_id = 'mo'
