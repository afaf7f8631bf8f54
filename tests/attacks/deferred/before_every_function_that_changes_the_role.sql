-- What an administrator of subscriptions (not of the database) has deferred must not fire as the
-- owner of another's subscription: before verify, dry_run, rebuild, start with init, promote, alter.
-- S
GRANT message_store_admin TO m;
-- m
CREATE TABLE m.t (x int);
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM m.boom();
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER e AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION m.f();

BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.verify('su'); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.dry_run('su'); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.start('su'); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.rebuild('su', true); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.tick('su#rebuild'); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.promote('su'); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1); SELECT message_store.rebuild('su'); COMMIT;
BEGIN; INSERT INTO m.t VALUES (1);
SELECT message_store.alter_subscription('su', options => '{"retries": 3}'); COMMIT;
-- check
SELECT count(*) = 8 FROM m.t
-- S
REVOKE message_store_admin FROM m;
