CREATE VIEW message_store.stream_summary AS
SELECT
  stream_name,
  count(*) AS message_count,
  round(count(*) * 100.0 / sum(count(*)) OVER (), 2) AS percent
FROM message_store.messages
GROUP BY 1
ORDER BY 1;

COMMENT ON VIEW message_store.stream_summary IS
  'Messages of each stream. Counts the whole log.';

GRANT SELECT ON message_store.stream_summary TO message_store, message_store_viewer;
