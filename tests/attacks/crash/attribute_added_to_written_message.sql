-- Another of our types is altered.
-- m
SELECT 1;
-- S
ALTER TYPE message_store.written_message ADD ATTRIBUTE more text;
-- m fails 55000
SELECT message_store.write_messages('a-1', '[{"type": "T"}]');
