CREATE OR REPLACE VIEW message_store.shard_status WITH (security_barrier) AS
SELECT
  s.number AS shard,
  s.shards,
  s.map,
  (SELECT CASE WHEN q.is_called THEN q.last_value ELSE q.last_value - 1 END
     FROM message_store.messages_global_position_seq q) AS drawn,
  (SELECT h.position FROM message_store.horizon() h) AS settled,
  (SELECT b.pid FROM message_store.horizon_blockers() b ORDER BY b.holds_back_after LIMIT 1) AS held_by,
  t.subscriptions,
  t.not_running,
  t.lag,
  t.parked
FROM message_store.shard s
CROSS JOIN LATERAL (
  SELECT
    count(*) AS subscriptions,
    count(*) FILTER (WHERE NOT o.is_started) AS not_running,
    coalesce(sum(o.lag), 0)::bigint AS lag,
    coalesce(sum(o.parked), 0)::bigint AS parked
  FROM (
    SELECT bool_and(v.state = 'started') AS is_started, sum(v.lag) AS lag, max(v.parked) AS parked
    FROM message_store.subscription_status v
    GROUP BY v.subscriber_id
  ) o
) t;

COMMENT ON VIEW message_store.shard_status IS
  'Where this store is one of several shards, one row: which one, by which map, how far it has drawn positions, up to where they are settled and who holds that back (a process id), one''s own subscriptions, how many of them are not started, how many messages they have to handle, and how many are parked. A router has a view of this name with a row for each shard.';

GRANT SELECT ON message_store.shard_status TO message_store, message_store_viewer;
