-- An index of our name on another table: its rows lie elsewhere.
-- S
DROP INDEX message_store.messages_stream; CREATE TABLE message_store.other (stream_name text, position bigint);
CREATE INDEX messages_stream ON message_store.other (stream_name, position); INSERT INTO message_store.other VALUES ('hv-1', 0);
-- m fails 55000
SELECT message_store.get_stream_messages('hv-1');
-- m fails 55000
SELECT message_store.write_message(gen_random_uuid()::varchar, 'hv-1', 'T', '{}');
