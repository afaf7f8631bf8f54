-- Another of our types is altered.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS 'SELECT message_store.handler_context()'; SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
ALTER TYPE message_store.handler_call ADD ATTRIBUTE more text;
-- m
SELECT message_store.tick('mo');
