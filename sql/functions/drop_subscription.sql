CREATE FUNCTION message_store.drop_subscription(subscriber_id varchar) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'drop_subscription';

COMMENT ON FUNCTION message_store.drop_subscription(varchar) IS
  'Deletes a subscription, its position and its parked messages after the running tick has ended. The read model stays. Returns false when there is no such subscription. Errors: 42501.';
