-- Types named text and jsonb, and operators, before pg_catalog on the owner's search_path.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY, v text); INSERT INTO m.rm VALUES (1, 'x');
CREATE TYPE m.text AS (a bigint);
CREATE TYPE m.jsonb AS (a bigint);
CREATE TYPE m.regclass AS (a bigint);
CREATE FUNCTION m.eq(pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE sql AS 'SELECT m.boom() = 1';
CREATE OPERATOR m.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = m.eq);
CREATE OPERATOR m.<> (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = m.eq);
CREATE FUNCTION m.eq(pg_catalog.int4, pg_catalog.int4) RETURNS pg_catalog.bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR m.= (LEFTARG = pg_catalog.int4, RIGHTARG = pg_catalog.int4, FUNCTION = m.eq);
SET search_path = m, pg_catalog;
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0, "read_model": ["m.rm"]}');
-- S
SELECT message_store.verify('mo');
SELECT message_store.dry_run('mo');
SELECT message_store.rebuild('mo', true);
SELECT message_store.promote('mo', true);
