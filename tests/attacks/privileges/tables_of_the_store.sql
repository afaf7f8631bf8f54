-- EXECUTE is the privilege; the tables themselves are closed.
-- m fails 42501
INSERT INTO message_store.messages (stream_name, type, position) VALUES ('a-1', 'T', 0);
-- m fails 42501
UPDATE message_store.messages SET type = 'X';
-- m fails 42501
DELETE FROM message_store.messages;
-- m fails 42501
TRUNCATE message_store.messages;
-- m fails 42501
SELECT nextval('message_store.messages_global_position_seq');
-- m fails 42501
SELECT setval('message_store.messages_global_position_seq', 1);
-- m fails 42501
UPDATE message_store.subscriptions SET owner = 'm';
-- m fails 42501
SELECT * FROM message_store.subscriptions;
-- m fails 42501
UPDATE message_store.subscription_progress SET position = 0;
-- m fails 42501
INSERT INTO message_store.parked (subscriber_id) VALUES ('su');
-- m fails 42501
DELETE FROM message_store.history;
-- m fails 42501
CREATE TABLE message_store.x (y int);
-- m fails 42501
CREATE FUNCTION message_store.x() RETURNS int LANGUAGE sql AS 'SELECT 1';
-- m fails 42501
CREATE TRIGGER t BEFORE INSERT ON message_store.messages FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
-- m fails 42501
BEGIN; LOCK TABLE message_store.messages IN ACCESS EXCLUSIVE MODE;
-- m
ROLLBACK;
-- m fails 42501
ALTER TABLE message_store.read_model_pages ADD x int;
-- m fails 42501
CREATE INDEX ON message_store.messages (type);
-- m fails 42501
ALTER EXTENSION message_store UPDATE;
-- m fails 42501
DROP EXTENSION message_store;
