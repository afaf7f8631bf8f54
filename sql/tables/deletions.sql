CREATE TABLE message_store.deletions (
  deletion bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  category text COLLATE "C" NOT NULL,
  stream_name text COLLATE "C",
  up_to bigint NOT NULL,
  messages bigint NOT NULL,
  began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  role name NOT NULL,
  actor text,
  reason text NOT NULL
);

COMMENT ON TABLE message_store.deletions IS
  'What was deleted from the log, by whom and why. What cannot be made anew from the first message since is known from here.';
COMMENT ON COLUMN message_store.deletions.deletion IS
  'Its number. Calls that follow each other within an hour and say the same are one deletion.';
COMMENT ON COLUMN message_store.deletions.category IS 'The category that messages were deleted of.';
COMMENT ON COLUMN message_store.deletions.stream_name IS 'The stream, where only one was meant.';
COMMENT ON COLUMN message_store.deletions.up_to IS 'The highest global position that was deleted.';
COMMENT ON COLUMN message_store.deletions.messages IS 'How many messages.';
COMMENT ON COLUMN message_store.deletions.began_at IS 'When its first call ran.';
COMMENT ON COLUMN message_store.deletions.ended_at IS 'When its last call ran.';
COMMENT ON COLUMN message_store.deletions.role IS 'The role that did it.';
COMMENT ON COLUMN message_store.deletions.actor IS
  'The person that the role acted for, if the application named one in the setting message_store.actor.';
COMMENT ON COLUMN message_store.deletions.reason IS 'Why, as it was given.';

GRANT SELECT ON message_store.deletions TO message_store, message_store_viewer;
