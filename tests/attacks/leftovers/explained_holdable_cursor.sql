-- A handler would leave something in the session, or take it away: explained holdable cursor.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'EXPLAIN ANALYZE DECLARE c CURSOR WITH HOLD FOR SELECT m.boom()';
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
CREATE TEMP TABLE of_session (x int);
PREPARE of_session AS SELECT 1;
SELECT message_store.tick('mo');
EXECUTE of_session;
SELECT * FROM of_session;
-- check
SELECT count(*) = 0 FROM pg_cursors
