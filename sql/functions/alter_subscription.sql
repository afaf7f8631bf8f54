CREATE FUNCTION message_store.alter_subscription(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  options jsonb DEFAULT NULL
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'alter_subscription';

COMMENT ON FUNCTION message_store.alter_subscription(varchar, jsonb, jsonb) IS
  'Replaces the handlers of a subscription and merges options key by key (null removes one), once the running tick has ended. The position stays. True when something changed. Errors: 42704, 42501, 22023, 42883.';
