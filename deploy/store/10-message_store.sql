-- The image's database is a message store from its first start on.
CREATE EXTENSION message_store;
SELECT message_store.create_store();
