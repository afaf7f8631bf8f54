-- A read model that is a view by the time somebody verifies.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY, v text); INSERT INTO m.rm VALUES (1, 'x');
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0, "read_model": ["m.rm"]}');
DROP TABLE m.rm;
CREATE VIEW m.rm AS SELECT 1 AS k, m.boom()::text AS v;
-- S fails 0A000
SELECT message_store.verify('mo');
