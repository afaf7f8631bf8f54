-- A handler would leave something in the session, or take it away: deallocate.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'DEALLOCATE ALL';
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
CREATE TEMP TABLE of_session (x int);
PREPARE of_session AS SELECT 1;
SELECT message_store.tick('mo');
EXECUTE of_session;
SELECT * FROM of_session;
-- check
SELECT last_sqlstate = '42501' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
