CREATE UNIQUE INDEX messages_stream ON message_store.messages (stream_name, position);

COMMENT ON INDEX message_store.messages_stream IS
  'Reads a stream in order; its last entry also tells writers who is extending the stream.';
