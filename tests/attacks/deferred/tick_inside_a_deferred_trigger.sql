-- A tick while deferred triggers fire: those beside it in the queue are m's, and stay m's.
-- m
CREATE TABLE m.t (x int);
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM m.boom(); IF new.x = 1 THEN PERFORM message_store.tick('su'); END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER e AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION m.f();

BEGIN; INSERT INTO m.t VALUES (1), (2), (3); COMMIT;
-- check
SELECT count(*) = 3 FROM m.t
