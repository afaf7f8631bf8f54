-- A hash index of our name.
-- S
DROP INDEX message_store.messages_id; CREATE INDEX messages_id ON message_store.messages USING hash (id);
-- m fails 55000
SELECT message_store.write_messages(ARRAY[ROW('a-1', 'T', NULL, NULL, gen_random_uuid()::text, NULL)::message_store.new_message], 'ignore');
