-- Another of our types is altered.
-- m
SELECT message_store.create_subscription('mo', 'mv', '{}');
-- S
ALTER TYPE message_store.fetched_message ADD ATTRIBUTE more text;
-- m fails 55000
SELECT message_store.fetch('mo', 1, '1 s');
