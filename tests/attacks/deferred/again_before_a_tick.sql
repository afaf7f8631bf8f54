-- A deferred trigger defers again what it queues, so that it fires under the next role.
-- m
CREATE TABLE m.t (x int);
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.x = 1 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO m.t VALUES (2); ELSE PERFORM m.boom(); END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER e AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION m.f();
-- m fails 55000
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.tick('su'); COMMIT;
