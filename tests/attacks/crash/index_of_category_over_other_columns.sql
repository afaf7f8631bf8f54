-- An index of our name over columns of other types.
-- S
DROP INDEX message_store.messages_category; CREATE INDEX messages_category ON message_store.messages (id, time);
-- m fails 55000
SELECT message_store.get_category_messages('hv');
-- m fails 55000
SELECT message_store.tick('su');
