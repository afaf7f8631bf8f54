-- Rows that a running statement has inserted queue triggers, which fire when it ends, as m.
-- m
CREATE TABLE m.t (x int);
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM m.boom();
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER e AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION m.f();

INSERT INTO m.t SELECT (message_store.tick('su')).position FROM generate_series(1, 3);
BEGIN; INSERT INTO m.t SELECT (message_store.tick('su')).position; COMMIT;
-- check
SELECT count(*) = 4 FROM m.t
