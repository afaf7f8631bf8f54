-- The schema of a copy that is to come is made by somebody else first.
-- m
DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I', 'message_store_copy_' || lpad(to_hex(message_store.hash_64('su')), 16, '0')); END $$;
-- S fails 42P06
SELECT message_store.rebuild('su', true);
