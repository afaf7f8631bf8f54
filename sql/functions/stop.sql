CREATE FUNCTION message_store.stop(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'stop';

COMMENT ON FUNCTION message_store.stop(varchar, varchar) IS
  'Waits for the running tick and stops the subscription until start(), as a failure does. Errors: 42704, 42501.';
