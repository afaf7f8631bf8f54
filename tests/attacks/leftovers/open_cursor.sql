-- A cursor that stays open is fetched from by whoever ticks, with the ticker's rights.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DECLARE c refcursor := 'left'; BEGIN OPEN c FOR SELECT m.boom() FROM generate_series(1, 3); END;
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
BEGIN;
SELECT message_store.tick('mo');
COMMIT;
-- check
SELECT count(*) = 0 FROM pg_cursors
-- S fails 34000
BEGIN; SELECT message_store.reset('mo', 0, 'x'); SELECT message_store.tick('mo'); FETCH ALL FROM "left";
