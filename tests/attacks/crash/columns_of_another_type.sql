-- The store's owner alters tables of subscriptions: what is read is of another type.
-- S
DROP VIEW message_store.shard_status, message_store.subscription_status;
ALTER TABLE message_store.subscription_progress ALTER last_error TYPE bigint USING 4919, ALTER last_sqlstate TYPE bigint USING 4919;
-- m fails 55000
SELECT message_store.tick('su');
-- S
ALTER TABLE message_store.subscription_progress ALTER last_error TYPE text USING NULL, ALTER last_sqlstate TYPE varchar USING NULL;
ALTER TABLE message_store.subscriptions ALTER search_path DROP DEFAULT, ALTER search_path TYPE bigint USING 4919;
-- m fails 42804
SELECT message_store.tick('su');
