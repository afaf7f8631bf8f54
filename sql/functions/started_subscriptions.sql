CREATE FUNCTION message_store.started_subscriptions() RETURNS TABLE (subscriber_id varchar, source varchar, group_size bigint, batch_size bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'started_subscriptions';

COMMENT ON FUNCTION message_store.started_subscriptions() IS
  'Every started subscription that has handlers, of all owners: an orchestrator''s list.';
