-- Defaults, checks, generated columns and index expressions of a table that is copied.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY DEFAULT m.boom(), v boolean GENERATED ALWAYS AS (m.boom_immutable()) STORED,
  CHECK (m.boom_immutable()));
CREATE INDEX ON m.rm ((m.boom_immutable()));
INSERT INTO m.rm DEFAULT VALUES;
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0, "read_model": ["m.rm"]}');
-- S
SELECT message_store.verify('mo');
SELECT message_store.dry_run('mo');
SELECT message_store.rebuild('mo', true);
SELECT message_store.promote('mo', true);
