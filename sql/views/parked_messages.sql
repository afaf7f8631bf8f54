CREATE OR REPLACE VIEW message_store.parked_messages WITH (security_barrier) AS
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
  p.reason,
  p.error_details,
  p.status::text = 'failed'::text AS can_retry,
  p.status::text = 'failed'::text OR p.status::text = 'retry'::text AS can_discard
FROM message_store.parked p
JOIN message_store.subscriptions s USING (subscriber_id)
WHERE pg_has_role(s.owner, 'USAGE') OR pg_has_role('message_store_admin', 'USAGE')
  OR pg_has_role('message_store_viewer', 'USAGE');

COMMENT ON VIEW message_store.parked_messages IS
  'Parked messages of one''s own subscriptions; message_store_admin and message_store_viewer see those of all. A failed message has its last error. Messages of the same stream wait behind it. can_retry, can_discard: whether retry_parked and discard_parked take it.';

GRANT SELECT ON message_store.parked_messages TO message_store, message_store_viewer;
