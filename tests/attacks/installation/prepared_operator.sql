-- A operator that is there before the extension.
-- without a store
-- S
CREATE SCHEMA message_store; GRANT ALL ON SCHEMA message_store TO m;
-- m
CREATE OPERATOR message_store.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.texteq);
-- S fails 55000
CREATE EXTENSION message_store;
