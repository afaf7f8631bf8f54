CREATE VIEW message_store.type_stream_summary AS
SELECT
  type,
  stream_name,
  count(*) AS message_count,
  round(count(*) * 100.0 / sum(count(*)) OVER (), 2) AS percent
FROM message_store.messages
GROUP BY 1, 2
ORDER BY 1, 2;

COMMENT ON VIEW message_store.type_stream_summary IS
  'Messages of each type in each stream. Counts the whole log.';

GRANT SELECT ON message_store.type_stream_summary TO message_store, message_store_viewer;
