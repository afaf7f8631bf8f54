-- Settings of the session that ticks would change what a handler makes of a message.
-- m
CREATE TABLE m.t (name text, value text);
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO m.t SELECT n, current_setting(n, true) FROM unnest(ARRAY['datestyle', 'intervalstyle', 'timezone',
    'bytea_output', 'extra_float_digits', 'row_security', 'transform_null_equals', 'standard_conforming_strings',
    'backslash_quote', 'gin_fuzzy_search_limit', 'lock_timeout', 'xmloption', 'xmlbinary', 'array_nulls',
    'session_replication_role', 'default_text_search_config', 'lc_numeric', 'lc_monetary', 'statement_timeout', 'check_function_bodies']) n
$$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
SELECT m.h(1);
CREATE TABLE m.wanted AS SELECT * FROM m.t; TRUNCATE m.t;
-- S
SET datestyle = 'German, DMY'; SET intervalstyle = 'iso_8601'; SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape';
SET extra_float_digits = -15; SET row_security = off; SET transform_null_equals = on; SET standard_conforming_strings = off;
SET backslash_quote = off; SET gin_fuzzy_search_limit = 1; SET lock_timeout = '1ms'; SET xmloption = document;
SET xmlbinary = hex; SET array_nulls = off; SET session_replication_role = replica;
SET default_text_search_config = 'pg_catalog.german'; SET check_function_bodies = off; SET statement_timeout = '1h';
SELECT message_store.tick('mo');
-- check
SELECT count(*) = 20 AND bool_and(t.value = w.value) FROM m.t JOIN m.wanted w USING (name)
-- check
SELECT current_setting('timezone') = 'Asia/Tokyo' AND current_setting('session_replication_role') = 'replica'
