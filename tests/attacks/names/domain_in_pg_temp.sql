-- A domain named as a type that our function uses, in the session's temporary schema.
-- m
CREATE FUNCTION pg_temp.e(text) RETURNS boolean LANGUAGE sql AS 'SELECT m.boom() = 1';
CREATE DOMAIN pg_temp.name AS pg_catalog.text CHECK (pg_temp.e(value));
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.e('x'));
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.e('x'));
CREATE DOMAIN pg_temp.varchar AS pg_catalog.varchar CHECK (pg_temp.e('x'));
GRANT USAGE ON TYPE pg_temp.name, pg_temp.jsonb, pg_temp.text TO PUBLIC;
DO $$ BEGIN EXECUTE format('GRANT ALL ON SCHEMA %I TO PUBLIC', (SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema())); END $$;
SELECT message_store.tick('su:most-watched');
SELECT message_store.tick('su');
SELECT message_store.start('mo', true) WHERE false;
-- check
SELECT position > 0 FROM message_store.subscription_status WHERE subscriber_id = 'su:most-watched'
