-- A role that may create in the schema is there before create_store().
-- without a store
-- S
CREATE EXTENSION message_store; GRANT ALL ON SCHEMA message_store TO m;
-- m
CREATE TABLE message_store.messages (global_position bigserial PRIMARY KEY);
-- S fails 55000
SELECT message_store.create_store();
