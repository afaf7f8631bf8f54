-- A view that is there before the extension.
-- without a store
-- S
CREATE SCHEMA message_store; GRANT ALL ON SCHEMA message_store TO m;
-- m
CREATE VIEW message_store.parked_messages AS SELECT 1;
-- S fails 55000
CREATE EXTENSION message_store;
