CREATE OR REPLACE VIEW message_store.subscription_status WITH (security_barrier) AS
SELECT
  s.subscriber_id,
  s.owner,
  s.source,
  s.state,
  s.state_reason,
  p.member,
  p.group_size,
  p.drains_until,
  p.position,
  m.head,
  m.lag,
  m.lag_is_estimate,
  m.lag_seconds,
  p.rate,
  p.handled,
  parked.messages AS parked,
  p.attempts,
  p.last_error,
  p.last_sqlstate,
  p.last_error_at,
  p.retry_at,
  s.copy_of,
  CASE
    WHEN p.position < least(replay.until, m.head) THEN least(replay.until, m.head)
  END AS replay_target,
  CASE
    WHEN p.position < least(replay.until, m.head) AND p.rate > 0
      THEN m.lag / p.rate
  END AS replay_eta_seconds,
  ticker.pid AS holder,
  s.created_at,
  p.updated_at,
  s.handlers,
  s.options,
  p.failing_position,
  message_store.ticking_since(ticker.pid) AS ticking_since,
  p.last_error_details,
  s.search_path
FROM message_store.subscriptions s
JOIN message_store.subscription_progress p USING (subscriber_id)
CROSS JOIN LATERAL message_store.subscription_lag(s.subscriber_id, p.member) m
CROSS JOIN LATERAL (
  SELECT count(*) AS messages
  FROM message_store.parked w
  WHERE w.subscriber_id = s.subscriber_id AND w.status <> 'discarded'
) parked
CROSS JOIN LATERAL (
  SELECT CASE
    WHEN s.copy_of IS NULL THEN s.replay_mark
    ELSE (
      SELECT min(live.position)
      FROM message_store.subscription_progress live
      WHERE live.subscriber_id = s.copy_of
    )
  END AS until
) replay
CROSS JOIN LATERAL (
  SELECT (
    SELECT l.pid
    FROM pg_locks l
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.objsubid = 19540
      AND l.granted
      AND ((l.classid::bigint << 32) | l.objid::bigint)
        = message_store.hash_64((s.subscriber_id || ':' || p.member)::varchar)
    LIMIT 1
  ) AS pid
) ticker
WHERE pg_has_role(s.owner, 'USAGE') OR pg_has_role('message_store_admin', 'USAGE')
  OR pg_has_role('message_store_viewer', 'USAGE');

COMMENT ON VIEW message_store.subscription_status IS
  'How far each of one''s own subscriptions has come, one row for each member. message_store_admin and message_store_viewer see all subscriptions. head: the last settled message of the source. lag: how many messages of the source come after position, exact up to 10,000, and an estimate beyond if lag_is_estimate. lag_seconds: the age of the first of these messages. rate: messages scanned a second. holder: the process id of the session that ticks it now, and ticking_since: since when. replay_target, replay_eta_seconds: only while a rebuild is under way.';

GRANT SELECT ON message_store.subscription_status TO message_store, message_store_viewer;
