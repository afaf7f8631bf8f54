-- A handler reaches a cursor that the session has open over what m may not read.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'CLOSE c';
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
BEGIN;
DECLARE c CURSOR FOR SELECT word FROM public.secret;
SELECT message_store.tick('mo');
FETCH ALL FROM c;
CLOSE c;
COMMIT;
-- check
SELECT last_sqlstate IS NOT NULL FROM message_store.subscription_status WHERE subscriber_id = 'mo'
