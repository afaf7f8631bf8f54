CREATE INDEX messages_category ON message_store.messages (
  message_store.category(stream_name),
  global_position,
  message_store.category(metadata->>'correlationStreamName')
);

COMMENT ON INDEX message_store.messages_category IS
  'Reads a category in order, optionally those correlated with a category.';
