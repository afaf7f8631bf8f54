-- The owner of a copy puts a trigger and a rule on it before an administrator promotes.
-- m
CREATE TABLE m.rm (k int PRIMARY KEY, v text); INSERT INTO m.rm VALUES (1, 'x');
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0, "read_model": ["m.rm"]}');
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.boom(); RETURN COALESCE(new, old); END $$;
SELECT message_store.rebuild('mo', true);
DO $$ DECLARE s name; BEGIN
  SELECT nspname INTO s FROM pg_namespace WHERE nspname LIKE 'message_store_copy%';
  EXECUTE format('CREATE TRIGGER f BEFORE INSERT OR UPDATE OR DELETE ON %I.rm FOR EACH ROW EXECUTE FUNCTION m.f()', s);
  EXECUTE format('CREATE RULE r AS ON DELETE TO %I.rm DO ALSO SELECT m.boom()', s);
  EXECUTE format('ALTER TABLE %I.rm ADD CHECK (m.boom_immutable())', s);
END $$;
CREATE TRIGGER f BEFORE INSERT OR UPDATE OR DELETE ON m.rm FOR EACH ROW EXECUTE FUNCTION m.f();
-- S
SELECT message_store.tick('mo#rebuild');
SELECT message_store.promote('mo', true);
SELECT message_store.drop_subscription('mo');
