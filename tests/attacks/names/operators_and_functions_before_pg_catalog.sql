-- A search_path of the caller's on which everything of pg_catalog is shadowed.
-- m
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.o(jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT m.boom(); SELECT $1';
CREATE OPERATOR evil.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = evil.o);
CREATE FUNCTION evil.g(jsonb, text) RETURNS text LANGUAGE sql AS 'SELECT m.boom(); SELECT ''1''';
CREATE OPERATOR evil.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.g);
CREATE FUNCTION evil.e(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT m.boom() = 1';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.e);
CREATE FUNCTION evil.e(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT m.boom() = 1';
CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.e);
CREATE FUNCTION evil.e(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT m.boom() = 1';
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.e);
CREATE OPERATOR evil.< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.e);
CREATE OPERATOR evil.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.e);
CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT m.boom()::text';
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT m.boom(); SELECT now()';
CREATE FUNCTION evil.jsonb_build_object(VARIADIC text[]) RETURNS jsonb LANGUAGE sql AS 'SELECT m.boom(); SELECT ''{}''::jsonb';
SET search_path = evil, pg_catalog;
SELECT message_store.tick('su'), message_store.tick('su:most-watched');
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "message_store.increment_videos_watched"}');
SELECT message_store.tick('mo');
SELECT count(*) FROM message_store.subscription_status;
SELECT message_store.pause('mo');
SELECT message_store.start('mo');
SELECT message_store.reset('mo', 0, 'x');
