-- The schema is made before the extension, and stays its maker's.
-- without a store
-- m
CREATE SCHEMA message_store;
-- S fails 55000
CREATE EXTENSION message_store;
