-- A type that is there before the extension.
-- without a store
-- S
CREATE SCHEMA message_store; GRANT ALL ON SCHEMA message_store TO m;
-- m
CREATE TYPE message_store.other AS (x int);
-- S fails 55000
CREATE EXTENSION message_store;
