CREATE FUNCTION message_store.announce_insert() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'announce_insert';

COMMENT ON FUNCTION message_store.announce_insert() IS
  'Trigger function. Tells readers of every category that the transaction is about to draw global positions. It is on messages for as long as calls of Message DB''s own functions may be running.';
