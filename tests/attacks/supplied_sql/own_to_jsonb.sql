-- verify and dry_run find a function of their names on the owner's search_path and believe its type.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY, v text); INSERT INTO m.rm VALUES (1, 'x');
CREATE FUNCTION m.to_jsonb(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT m.boom(); SELECT 4919::bigint';
CREATE FUNCTION m.to_jsonb(m.rm) RETURNS bigint LANGUAGE sql AS 'SELECT m.boom(); SELECT 4919::bigint';
SET search_path = m, pg_catalog;
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0, "read_model": ["m.rm"]}');
-- S
SELECT message_store.verify('mo');
SELECT message_store.dry_run('mo');
