CREATE VIEW message_store.subscription_history WITH (security_barrier) AS
SELECT h.subscriber_id, h.at, h.role, h.action, h.position, h.reason, h.actor
FROM message_store.history h
WHERE pg_has_role(h.owner, 'USAGE') OR pg_has_role('message_store_admin', 'USAGE')
  OR pg_has_role('message_store_viewer', 'USAGE');

COMMENT ON VIEW message_store.subscription_history IS
  'What people and failures did to one''s own subscriptions, with the reason. message_store_admin and message_store_viewer see all subscriptions.';

GRANT SELECT ON message_store.subscription_history TO message_store, message_store_viewer;
