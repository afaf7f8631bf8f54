-- An index of our name over columns of other types.
-- S
DROP INDEX message_store.messages_stream; CREATE UNIQUE INDEX messages_stream ON message_store.messages (id, time);
-- m fails 55000
SELECT message_store.get_stream_messages('hv-1');
-- m fails 55000
SELECT message_store.write_messages(ARRAY[ROW('a-1', 'T', NULL, NULL, gen_random_uuid()::text, NULL)::message_store.new_message], 'ignore'), message_store.tick('su');
