-- A condition that calls an immutable function runs when it is planned, LIMIT 0 or not.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY, v text); INSERT INTO m.rm VALUES (1, 'x');
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"read_model": [{"table": "m.rm", "where": "m.boom_immutable()"}]}');
-- S
SELECT message_store.alter_subscription('mo', options => '{"retries": 3}');
SELECT message_store.alter_subscription('mo', handlers => '{"$any": "m.h"}');
SELECT message_store.verify('mo');
SELECT message_store.dry_run('mo');
SELECT message_store.rebuild('mo');
SELECT message_store.rebuild('mo', true);
SELECT message_store.promote('mo');
