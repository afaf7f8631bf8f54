-- The sequence's name is a table's, then gone.
-- S
DROP VIEW message_store.shard_status; ALTER TABLE message_store.messages ALTER global_position DROP DEFAULT; DROP SEQUENCE message_store.messages_global_position_seq;
CREATE TABLE message_store.messages_global_position_seq (last_value bigint, log_cnt bigint, is_called boolean);
-- m fails 55000
SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}');
-- m fails 55000
SELECT message_store.get_category_messages('hv');
