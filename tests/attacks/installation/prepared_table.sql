-- A table with a trigger waits for the store to be made.
-- without a store
-- S
CREATE SCHEMA message_store; GRANT ALL ON SCHEMA message_store TO m;
-- m
CREATE TABLE message_store.messages (global_position bigserial PRIMARY KEY);
-- S fails 55000
CREATE EXTENSION message_store;
