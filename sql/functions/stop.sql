CREATE FUNCTION message_store.stop(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'stop';

COMMENT ON FUNCTION message_store.stop(varchar, varchar) IS
  'Waits until the running tick has ended. Then the subscription is stopped until start(), as after a failure. Errors: 42704, 42501.';
