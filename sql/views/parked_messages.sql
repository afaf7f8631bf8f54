CREATE VIEW message_store.parked_messages WITH (security_barrier) AS
SELECT
  p.subscriber_id,
  p.global_position,
  p.stream_name,
  p.type,
  p.status,
  p.attempts,
  p.sqlstate,
  p.error,
  p.parked_at,
  p.last_failed_at,
  p.reason
FROM message_store.parked p
JOIN message_store.subscriptions s USING (subscriber_id)
WHERE pg_has_role(s.owner, 'USAGE') OR pg_has_role('message_store_admin', 'USAGE')
  OR pg_has_role('message_store_viewer', 'USAGE');

COMMENT ON VIEW message_store.parked_messages IS
  'Messages put aside by one''s own subscriptions (message_store_admin, message_store_viewer: by all): failed ones with their last error, and those of the same stream that wait behind. retry_parked and discard_parked deal with them.';

GRANT SELECT ON message_store.parked_messages TO message_store, message_store_viewer;
