-- A descriptor that the session has open reads with the session's rights.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO m.seen VALUES (convert_from(loread(0, 100), 'UTF8'));
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
BEGIN;
SELECT lo_from_bytea(4711, 'the secret');
SELECT lo_open(4711, 262144);
SELECT message_store.tick('mo');
COMMIT;
-- check
SELECT last_sqlstate = '42501' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
