-- A domain that is there before the extension.
-- without a store
-- S
CREATE SCHEMA message_store; GRANT ALL ON SCHEMA message_store TO m;
-- m
CREATE DOMAIN message_store.text AS pg_catalog.text;
-- S fails 55000
CREATE EXTENSION message_store;
