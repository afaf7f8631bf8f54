-- Another of our types is altered.
-- m
SELECT 1;
-- S
ALTER TYPE message_store.new_message ADD ATTRIBUTE more text;
-- m fails 55000
SELECT message_store.write_messages(ARRAY[ROW('a-1', 'T', NULL, NULL, NULL, NULL, NULL)::message_store.new_message]);
