-- Those of the database, of the owner and of the subscription, the later before the earlier.
-- m
CREATE TABLE m.t (a text, b text, c text);
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO m.t VALUES (current_setting('datestyle'), current_setting('timezone'), current_setting('intervalstyle'))
$$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"settings": {"intervalstyle": "iso_8601"}}');
-- S
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET datestyle = ''German, DMY''', current_database());
  EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database());
  EXECUTE format('ALTER ROLE m IN DATABASE %I SET timezone = ''America/New_York''', current_database());
  EXECUTE format('ALTER ROLE m IN DATABASE %I SET intervalstyle = ''sql_standard''', current_database());
END $$;
SELECT message_store.tick('mo');
-- check
SELECT a = 'ISO, MDY' OR a = 'German, DMY' FROM m.t
-- check
SELECT b = 'America/New_York' AND c = 'iso_8601' FROM m.t
