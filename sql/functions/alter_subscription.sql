CREATE FUNCTION message_store.alter_subscription(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  options jsonb DEFAULT NULL
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'alter_subscription';

COMMENT ON FUNCTION message_store.alter_subscription(varchar, jsonb, jsonb) IS
  'Changes the handlers or the options of a subscription after the running tick has ended. New handlers replace all the old ones. Options are merged key by key; null removes a key. The position stays. Returns true when something changed. Errors: 42704, 42501, 22023, 42883.';
