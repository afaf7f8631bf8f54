CREATE TABLE message_store.erasures (
  erasure bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stream_name text COLLATE "C",
  id uuid,
  metadata_path text,
  category text COLLATE "C",
  messages bigint NOT NULL,
  positions bigint[] NOT NULL,
  wal_position pg_lsn NOT NULL,
  erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  wiped_at timestamptz,
  role name NOT NULL,
  actor text,
  reason text NOT NULL
);

COMMENT ON TABLE message_store.erasures IS
  'Whose data was erased, by whom and why. The variables of a path are not kept: they may name the person.';
COMMENT ON COLUMN message_store.erasures.erasure IS 'Its number.';
COMMENT ON COLUMN message_store.erasures.stream_name IS 'The stream whose messages were meant, if it was chosen by stream.';
COMMENT ON COLUMN message_store.erasures.id IS 'The message that was meant, if it was chosen by id.';
COMMENT ON COLUMN message_store.erasures.metadata_path IS 'The path in the metadata that chose the messages, if one did.';
COMMENT ON COLUMN message_store.erasures.category IS 'The category that the path was asked of, if it was asked of one.';
COMMENT ON COLUMN message_store.erasures.messages IS 'How many messages lost their data and metadata.';
COMMENT ON COLUMN message_store.erasures.positions IS 'Their global positions.';
COMMENT ON COLUMN message_store.erasures.wal_position IS 'Where the write-ahead log was after the erasure, and then after wiped_at. Whatever replays it from before may hold the data.';
COMMENT ON COLUMN message_store.erasures.erased_at IS 'When.';
COMMENT ON COLUMN message_store.erasures.wiped_at IS 'When wipe_free_room() ran after a VACUUM that came after the erasure.';
COMMENT ON COLUMN message_store.erasures.role IS 'The role that did it.';
COMMENT ON COLUMN message_store.erasures.actor IS
  'The person that the role acted for, if the application named one in the setting message_store.actor.';
COMMENT ON COLUMN message_store.erasures.reason IS 'Why, as it was given.';

GRANT SELECT ON message_store.erasures TO message_store, message_store_viewer;
