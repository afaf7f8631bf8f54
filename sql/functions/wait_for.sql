CREATE FUNCTION message_store.wait_for(
  subscriber_id varchar,
  global_position bigint,
  "timeout" interval DEFAULT '5 s'
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'wait_for';

COMMENT ON FUNCTION message_store.wait_for(varchar, bigint, interval) IS
  'Waits until the subscription has handled every message of its source up to this global position, and returns true. Returns false after the timeout, or at once when the message is parked. Errors: 42704, 22023, 25001 (this transaction has written messages, or keeps one snapshot).';
