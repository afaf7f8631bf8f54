CREATE EXTENSION message_store;;
SELECT message_store.create_store();;
DO $$ BEGIN
  IF to_regrole('m') IS NULL THEN
    CREATE ROLE m LOGIN IN ROLE message_store;
    CREATE ROLE n LOGIN IN ROLE message_store;
  END IF;
END $$;;
-- Some functions wait for as long as they are told to.
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET statement_timeout = 200', current_database());
END $$;;
CREATE SCHEMA fuzz;
GRANT ALL ON SCHEMA fuzz TO PUBLIC;
CREATE TABLE fuzz.pages (name text PRIMARY KEY, n bigint);
GRANT ALL ON fuzz.pages TO PUBLIC;
CREATE FUNCTION fuzz.handle(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF (message).data::jsonb ? 'sql' THEN
    EXECUTE (message).data::jsonb ->> 'sql';
  END IF;
  INSERT INTO fuzz.pages VALUES ((message).type, 1)
  ON CONFLICT (name) DO UPDATE SET n = pages.n + 1;
END $$;
CREATE FUNCTION fuzz.handle_run(positions bigint[]) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION fuzz.prepare() RETURNS void LANGUAGE sql AS '';
CREATE TABLE fuzz.triggers (sql text);
GRANT ALL ON fuzz.triggers TO PUBLIC;
CREATE FUNCTION fuzz.run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE new.sql; RETURN NULL; END $$;
CREATE TRIGGER run BEFORE INSERT ON fuzz.triggers FOR EACH ROW EXECUTE FUNCTION fuzz.run();;
SELECT message_store.ensure_home_page(), message_store.ensure_most_watched();;
SET ROLE m;
SELECT message_store.create_subscription('of:m', 'fuzz', '{"$any": "fuzz.handle"}',
  '{"retries": 1, "retry_delay": "0", "on_failure": "park", "read_model": ["fuzz.pages"], "init": "fuzz.prepare"}');
SELECT message_store.create_subscription('fetched:m', 'fuzz', '{}');
SELECT message_store.create_subscription('group:m', 'fuzz', '{"$any": "fuzz.handle_run"}', '{"group_size": 3}');
RESET ROLE;
SET ROLE n;
SELECT message_store.create_subscription('of:n', '$all', '{"T": "fuzz.handle"}',
  '{"retries": 0, "read_model": [{"table": "fuzz.pages", "where": "n > 0"}]}');
RESET ROLE;
SELECT message_store.create_subscription('of:su', 'viewings',
  '{"$any": "message_store.increment_videos_watched"}', '{"read_model": ["message_store.read_model_pages"]}');
SELECT message_store.write_message(gen_random_uuid()::varchar, 'fuzz-1', 'T', '{"n": 1}'),
  message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', 'VideoViewed', '{"videoId": "1"}')
