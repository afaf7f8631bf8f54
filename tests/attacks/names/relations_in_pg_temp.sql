-- Temporary tables and views named as catalogs and as tables of the store.
-- m
CREATE TEMP VIEW pg_class AS SELECT m.boom() AS oid;
CREATE TEMP VIEW pg_namespace AS SELECT m.boom() AS oid;
CREATE TEMP VIEW pg_depend AS SELECT m.boom() AS classid;
CREATE TEMP VIEW pg_trigger AS SELECT m.boom() AS tgrelid;
CREATE TEMP VIEW pg_db_role_setting AS SELECT m.boom() AS setdatabase;
CREATE TEMP VIEW messages AS SELECT m.boom() AS position;
CREATE TEMP VIEW read_model_pages AS SELECT m.boom() AS page_name;
CREATE TEMP VIEW video_views AS SELECT m.boom() AS video_id;
CREATE TEMP VIEW subscriptions AS SELECT m.boom() AS subscriber_id;
GRANT SELECT ON pg_temp.pg_class, pg_temp.messages, pg_temp.video_views TO PUBLIC;
DO $$ BEGIN EXECUTE format('GRANT ALL ON SCHEMA %I TO PUBLIC', (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = pg_my_temp_schema())); END $$;
SELECT message_store.tick('su:most-watched');
SELECT message_store.tick('su');
SELECT * FROM message_store.started_subscriptions();
SELECT count(*) FROM message_store.subscription_status;
