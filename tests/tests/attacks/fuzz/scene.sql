CREATE EXTENSION message_store;;
SELECT message_store.create_store();;
DO $$ BEGIN
  IF to_regrole('m') IS NULL THEN
    CREATE ROLE m LOGIN IN ROLE message_store;
    CREATE ROLE n LOGIN IN ROLE message_store;
    CREATE ROLE su LOGIN SUPERUSER;
  END IF;
END $$;;
CREATE SCHEMA fuzz;
GRANT ALL ON SCHEMA fuzz TO PUBLIC;
CREATE TABLE fuzz.pages (name text PRIMARY KEY, n bigint);
CREATE VIEW fuzz.shown AS SELECT * FROM fuzz.pages;
CREATE TABLE fuzz.names AS SELECT 'a:b-' || g || '+' || g AS name FROM generate_series(1, 50) g;
CREATE SEQUENCE fuzz.numbers;
CREATE TABLE fuzz.kept (name text, value jsonb);
INSERT INTO fuzz.kept VALUES
  ('large', (SELECT jsonb_agg(md5(g::text)) FROM generate_series(1, 3000) g)),
  ('deep', (repeat('[', 900) || repeat(']', 900))::jsonb);
CREATE DOMAIN fuzz.some_message AS message_store.new_message CHECK ((value).type <> 'never');
GRANT ALL ON ALL TABLES IN SCHEMA fuzz TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA fuzz TO PUBLIC;
CREATE FUNCTION fuzz.handle(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF (message).data::jsonb ? 'sql' THEN
    EXECUTE (message).data::jsonb ->> 'sql';
  END IF;
  INSERT INTO fuzz.pages VALUES ((message).type, 1)
  ON CONFLICT (name) DO UPDATE SET n = pages.n + 1;
END $$;
CREATE FUNCTION fuzz.handle_run(messages message_store.message[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE message message_store.message;
BEGIN
  FOREACH message IN ARRAY messages LOOP
    BEGIN
      PERFORM fuzz.handle(message);
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END $$;
CREATE FUNCTION fuzz.handle_positions(positions bigint[]) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION fuzz.leave_behind(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
DECLARE left_open refcursor := 'left_open';
BEGIN
  CASE (message).global_position % 8
    WHEN 0 THEN CREATE TEMP TABLE pg_roles (x int);
    WHEN 1 THEN OPEN left_open FOR SELECT * FROM fuzz.names;
    WHEN 2 THEN EXECUTE 'PREPARE left_behind AS SELECT 1';
    WHEN 3 THEN PERFORM pg_advisory_lock(1);
    WHEN 4 THEN EXECUTE 'EXPLAIN ANALYZE CREATE TEMP TABLE text AS SELECT 1';
    WHEN 5 THEN LISTEN left_behind;
    WHEN 6 THEN EXECUTE 'SET CONSTRAINTS ALL DEFERRED';
    ELSE PERFORM pg_advisory_xact_lock((message).global_position), message_store.tick('of:n', 1);
  END CASE;
END $$;
CREATE FUNCTION fuzz.fail(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = repeat('e', 20000), ERRCODE = '40001';
END $$;
CREATE FUNCTION fuzz.prepare() RETURNS void LANGUAGE sql AS '';
-- Who calls may alter these.
ALTER TABLE fuzz.pages OWNER TO message_store;
ALTER FUNCTION fuzz.prepare() OWNER TO message_store;
CREATE FUNCTION fuzz.fail_init() RETURNS void LANGUAGE sql AS 'SELECT 1 / 0';
CREATE TABLE fuzz.triggers (sql text);
GRANT ALL ON fuzz.triggers TO PUBLIC;
CREATE FUNCTION fuzz.run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE new.sql; RETURN NULL; END $$;
CREATE TRIGGER run BEFORE INSERT ON fuzz.triggers FOR EACH ROW EXECUTE FUNCTION fuzz.run();
CREATE FUNCTION fuzz.run_of_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE new.data ->> 'sql';
  RETURN NULL;
END $$;
CREATE TRIGGER run AFTER INSERT ON message_store.messages FOR EACH ROW WHEN (new.type = 'Trigger')
  EXECUTE FUNCTION fuzz.run_of_message();;
-- Each role has a trap: code that nobody else may ever run. The sequence remembers also what is
-- rolled back. A superuser alters what others own, so its trap stays open.
CREATE SEQUENCE fuzz.sprung;
GRANT USAGE ON SEQUENCE fuzz.sprung TO PUBLIC;
DO $$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['m', 'n', 'su'] LOOP
    EXECUTE format('CREATE SCHEMA %1$I AUTHORIZATION %1$I; GRANT USAGE ON SCHEMA %1$I TO PUBLIC', role);
    EXECUTE format($f$
      CREATE FUNCTION %1$I.trap() RETURNS boolean LANGUAGE plpgsql AS $t$
      BEGIN
        IF current_user <> '%1$s' AND '%1$s' <> 'su' THEN
          PERFORM pg_catalog.nextval('fuzz.sprung');
        END IF;
        RETURN true;
      END $t$;
      CREATE FUNCTION %1$I.to_jsonb(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT %1$I.trap()::int::bigint';
      CREATE FUNCTION %1$I.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT %1$I.trap()::text';
      CREATE FUNCTION %1$I.equal(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT %1$I.trap()';
      CREATE OPERATOR %1$I.= (FUNCTION = %1$I.equal, LEFTARG = bigint, RIGHTARG = bigint);
      CREATE OPERATOR %1$I.> (FUNCTION = %1$I.equal, LEFTARG = bigint, RIGHTARG = bigint);
      CREATE TABLE %1$I.messages (x int);
      CREATE TABLE %1$I.subscriptions (x int)$f$, role);
  END LOOP;
END $$;;
SELECT message_store.ensure_home_page();;
SELECT message_store.write_message(gen_random_uuid()::varchar, 'fuzz-1', 'T', '{"n": 1}'),
  message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', 'VideoViewed', '{"videoId": "1"}'),
  message_store.write_message(gen_random_uuid()::varchar, 'subscriberPosition-x', 'Read', '{"position": 1}'),
  message_store.write_message(gen_random_uuid()::varchar, 'fuzz:position-x', 'Recorded', '{"position": 1}')
