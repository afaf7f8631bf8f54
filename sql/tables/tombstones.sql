CREATE TABLE message_store.tombstones (
  stream_name text COLLATE "C" PRIMARY KEY,
  position bigint NOT NULL
);

COMMENT ON TABLE message_store.tombstones IS
  'Streams whose last message was deleted: their versions go on where they were.';
COMMENT ON COLUMN message_store.tombstones.stream_name IS 'The stream.';
COMMENT ON COLUMN message_store.tombstones.position IS
  'The position of the last message that was deleted. The next message of a stream without messages gets the one after it.';

GRANT SELECT ON message_store.tombstones TO message_store, message_store_viewer;
