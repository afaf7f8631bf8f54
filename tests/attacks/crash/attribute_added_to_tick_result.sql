-- Another of our types is altered.
-- m
SELECT 1;
-- S
ALTER TYPE message_store.tick_result ADD ATTRIBUTE more text;
-- m fails 55000
SELECT message_store.tick('su');
