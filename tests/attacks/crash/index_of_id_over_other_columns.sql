-- An index of our name over columns of other types.
-- S
DROP INDEX message_store.messages_id; CREATE UNIQUE INDEX messages_id ON message_store.messages (stream_name, position);
-- m fails 55000
SELECT message_store.write_messages(ARRAY[ROW('a-1', 'T', NULL, NULL, gen_random_uuid()::text, NULL)::message_store.new_message], 'ignore');
-- m fails 55000
SELECT message_store.write_messages(ARRAY[ROW('a-1', 'T', NULL, NULL, gen_random_uuid()::text, NULL)::message_store.new_message], 'ignore'), message_store.tick('su');
