-- row_security = off makes a query over a table with policies fail, and the handler with it.
-- m
CREATE TABLE m.t (x bigint); ALTER TABLE m.t ENABLE ROW LEVEL SECURITY; ALTER TABLE m.t FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON m.t USING (true);
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS 'INSERT INTO m.t VALUES ($1); SELECT 1 FROM m.t';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- n
SET row_security = off; SELECT message_store.tick('mo');
-- check
SELECT position > 0 FROM message_store.subscription_status WHERE subscriber_id = 'mo'
