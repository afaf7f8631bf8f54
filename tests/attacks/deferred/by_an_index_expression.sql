-- A deferrable exclusion constraint computes its expression again when it is checked.
-- m
CREATE TABLE m.t (x int);
CREATE FUNCTION m.i(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM m.boom(); RETURN 1; END $$;
ALTER TABLE m.t ADD CONSTRAINT x EXCLUDE USING btree (m.i(x) WITH =) DEFERRABLE INITIALLY DEFERRED;
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS 'INSERT INTO m.t VALUES (1); INSERT INTO m.t VALUES (2); DELETE FROM m.t WHERE x = 2';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
BEGIN; INSERT INTO m.t VALUES (7); SELECT message_store.tick('su'); COMMIT;
-- S
SELECT message_store.tick('mo');
