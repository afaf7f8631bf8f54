CREATE FUNCTION message_store.drop_subscription(subscriber_id varchar) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'drop_subscription';

COMMENT ON FUNCTION message_store.drop_subscription(varchar) IS
  'Forgets a subscription, its position and its parked messages, once the running tick has ended; the read model stays. False where there is none. Errors: 42501.';
