CREATE SCHEMA m AUTHORIZATION m;
CREATE SCHEMA n AUTHORIZATION n;
CREATE TABLE public.secret (word text);
INSERT INTO public.secret VALUES ('the secret');

-- Who ran code of m, kept also where the transaction is rolled back.
GRANT USAGE ON SCHEMA m TO PUBLIC;
CREATE SEQUENCE m.ran_as_another;
GRANT USAGE ON SEQUENCE m.ran_as_another TO PUBLIC;
CREATE TABLE m.seen (what text);
GRANT INSERT, SELECT ON m.seen TO PUBLIC;
CREATE FUNCTION m.boom() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'm' THEN
    PERFORM pg_catalog.nextval('m.ran_as_another');
  END IF;
  BEGIN
    EXECUTE 'ALTER ROLE m SUPERUSER';
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN 1;
END $$;
CREATE FUNCTION m.boom_immutable() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM m.boom();
  RETURN true;
END $$;
ALTER FUNCTION m.boom() OWNER TO m;
ALTER FUNCTION m.boom_immutable() OWNER TO m;
ALTER SEQUENCE m.ran_as_another OWNER TO m;
ALTER TABLE m.seen OWNER TO m;

-- Subscriptions of several owners, and a message for each.
SELECT message_store.ensure_home_page();
SELECT message_store.ensure_most_watched();
SELECT message_store.create_subscription('su', 'hv',
  '{"$any": "message_store.increment_videos_watched"}',
  '{"read_model": [{"table": "message_store.read_model_pages", "where": "page_name = ''home''"}], "init": "message_store.ensure_home_page"}');
SELECT message_store.create_subscription('su:most-watched', 'hv',
  '{"$any": "message_store.count_views_per_video"}');
SET ROLE n;
CREATE TABLE n.counts (stream text PRIMARY KEY, n bigint);
CREATE FUNCTION n.count(message message_store.message) RETURNS void LANGUAGE sql AS $$
  INSERT INTO counts VALUES (message.stream_name, 1)
  ON CONFLICT (stream) DO UPDATE SET n = counts.n + 1
$$;
SET search_path = n;
SELECT message_store.create_subscription('no', 'hv', '{"$any": "n.count"}', '{"read_model": ["n.counts"]}');
RESET search_path;
RESET ROLE;
SELECT message_store.write_message(gen_random_uuid()::varchar, 'hv-1', 'T', '{"videoId": "1"}');
SELECT message_store.write_message(gen_random_uuid()::varchar, 'mv-1', 'T', '{}');
