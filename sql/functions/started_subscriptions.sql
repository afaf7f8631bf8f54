CREATE FUNCTION message_store.started_subscriptions() RETURNS TABLE (subscriber_id varchar, source varchar, group_size bigint, batch_size bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'started_subscriptions';

COMMENT ON FUNCTION message_store.started_subscriptions() IS
  'Lists the started subscriptions that have handlers, whoever owns them. An orchestrator ticks these.';
