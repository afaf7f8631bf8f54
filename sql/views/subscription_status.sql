CREATE VIEW message_store.subscription_status AS
SELECT
  s.subscriber_id,
  s.owner,
  s.category,
  s.state,
  p.member,
  p.position,
  coalesce(category_end.position, 0) AS head,
  ahead.message_count AS lag,
  p.updated_at
FROM message_store.subscriptions s
JOIN message_store.subscription_progress p USING (subscriber_id)
LEFT JOIN LATERAL (
  SELECT m.global_position AS position
  FROM message_store.messages m
  WHERE message_store.category(m.stream_name) = s.category
  ORDER BY m.global_position DESC
  LIMIT 1
) category_end ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS message_count
  FROM (
    SELECT
    FROM message_store.messages m
    WHERE message_store.category(m.stream_name) = s.category
      AND m.global_position > p.position
    ORDER BY m.global_position
    LIMIT 10001
  ) AS counted
) ahead;

COMMENT ON VIEW message_store.subscription_status IS
  'How far each subscription has come. lag is the number of messages after position, counted to 10,001, which means more than 10,000.';

GRANT SELECT ON message_store.subscription_status TO message_store;
