-- A condition that its owner stores runs as whoever alters the subscription.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY, v text); INSERT INTO m.rm VALUES (1, 'x');
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"read_model": [{"table": "m.rm", "where": "true) LIMIT 0; SELECT m.boom(); SELECT 1 WHERE (true"}]}');
