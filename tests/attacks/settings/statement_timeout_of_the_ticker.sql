-- The ticker's own limit stops somebody else's subscription.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(0.4)';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- n
SET statement_timeout = '100ms';
-- n fails 57014
SELECT message_store.tick('mo');
-- check
SELECT state = 'created' AND attempts = 0 AND last_error IS NULL FROM message_store.subscription_status WHERE subscriber_id = 'mo'
-- n
RESET statement_timeout; SELECT message_store.tick('mo');
-- check
SELECT position > 0 FROM message_store.subscription_status WHERE subscriber_id = 'mo'
