CREATE FUNCTION message_store.pause(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pause_subscription';

COMMENT ON FUNCTION message_store.pause(varchar, varchar) IS
  'Waits for the running tick and keeps the subscription from being ticked until start(). Failed attempts are remembered. Errors: 42704, 42501.';
