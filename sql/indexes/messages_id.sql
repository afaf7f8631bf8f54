CREATE UNIQUE INDEX messages_id ON message_store.messages (id);

COMMENT ON INDEX message_store.messages_id IS 'A message is written once.';
