-- Columns of another statement are taken for a message's: a read of memory at a chosen address.
-- m
SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}');
SET message_store.sql_condition = on;
-- m fails 42601
SELECT * FROM message_store.get_stream_messages('a-1', condition => 'true) LIMIT $3; SELECT 4919,4919,4919,4919,4919,4919,4919,4919 FROM (SELECT 1 AS position) x WHERE (true');
-- m fails 42601
SELECT * FROM message_store.get_category_messages('a', condition => 'true) LIMIT $3; SELECT 4919,4919,4919,4919,4919,4919,4919,4919 FROM (SELECT 1 AS global_position) x WHERE (true');
