-- What a handler defers twice would fire when whoever ticks commits.
-- m
CREATE TABLE m.t (x int);
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.x = 1 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO m.t VALUES (2); ELSE PERFORM m.boom(); END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER e AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION m.f();
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO m.t VALUES (1);
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT last_sqlstate = '55000' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
