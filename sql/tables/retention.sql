CREATE TABLE message_store.retention (
  category text COLLATE "C" PRIMARY KEY,
  keep interval NOT NULL,
  reason text NOT NULL,
  role name NOT NULL,
  actor text,
  declared_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE message_store.retention IS
  'How long messages of a category are kept. Categories that are not here are kept for ever.';
COMMENT ON COLUMN message_store.retention.category IS 'The category.';
COMMENT ON COLUMN message_store.retention.keep IS 'Messages older than this are deleted by apply_retention().';
COMMENT ON COLUMN message_store.retention.reason IS 'Why, as it was given.';
COMMENT ON COLUMN message_store.retention.role IS 'The role that declared it.';
COMMENT ON COLUMN message_store.retention.actor IS
  'The person that the role acted for, if the application named one in the setting message_store.actor.';
COMMENT ON COLUMN message_store.retention.declared_at IS 'When.';

GRANT SELECT ON message_store.retention TO message_store, message_store_viewer;
