CREATE FUNCTION message_store.pause(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pause_subscription';

COMMENT ON FUNCTION message_store.pause(varchar, varchar) IS
  'Waits until the running tick has ended. Then nobody ticks the subscription until start(). Failed attempts are remembered. Errors: 42704, 42501.';
