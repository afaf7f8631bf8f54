-- Columns of messages are dropped, renamed, retyped.
-- S
ALTER TABLE message_store.messages RENAME data TO metadata2;
-- m fails 55000
SELECT message_store.get_all_messages();
-- S
ALTER TABLE message_store.messages RENAME metadata2 TO data; ALTER TABLE message_store.messages ALTER id DROP DEFAULT, ALTER id TYPE text USING 'x' || global_position;
-- m fails 55000
SELECT message_store.get_all_messages();
-- m fails 55000
SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}');
