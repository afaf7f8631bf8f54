-- Roles of our names that are more than roles.
-- without a store
-- S
ALTER ROLE message_store_admin CREATEROLE;
-- S fails 55000
CREATE EXTENSION message_store;
-- S
ALTER ROLE message_store_admin NOCREATEROLE; GRANT pg_read_all_data TO message_store_viewer;
-- S fails 55000
CREATE EXTENSION message_store;
-- S
REVOKE pg_read_all_data FROM message_store_viewer; GRANT message_store_admin TO n WITH ADMIN OPTION;
-- S fails 55000
CREATE EXTENSION message_store;
-- S
REVOKE message_store_admin FROM n;
CREATE EXTENSION message_store;
