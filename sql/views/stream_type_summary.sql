CREATE VIEW message_store.stream_type_summary AS
SELECT
  stream_name,
  type,
  count(*) AS message_count,
  round(count(*) * 100.0 / sum(count(*)) OVER (), 2) AS percent
FROM message_store.messages
GROUP BY 1, 2
ORDER BY 1, 2;

COMMENT ON VIEW message_store.stream_type_summary IS
  'Messages of each stream by type. Counts the whole log.';

GRANT SELECT ON message_store.stream_type_summary TO message_store, message_store_viewer;
