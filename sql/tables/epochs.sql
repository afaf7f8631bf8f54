CREATE TABLE message_store.epochs (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  epoch uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  server bigint NOT NULL,
  settled_up_to bigint NOT NULL,
  began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  reason text NOT NULL,
  role name NOT NULL,
  confirmed_at timestamptz,
  confirmed_by name,
  confirmation text
);

COMMENT ON TABLE message_store.epochs IS
  'Which history of the log positions belong to. A promotion, a restore or a move to another server begins an epoch, because what was acknowledged before may be lost. A position that is kept outside of the database is kept together with its epoch.';
COMMENT ON COLUMN message_store.epochs.number IS 'The order in which they began.';
COMMENT ON COLUMN message_store.epochs.epoch IS 'Its name.';
COMMENT ON COLUMN message_store.epochs.server IS
  'A number that stands for the server''s system identifier, its timeline and the database.';
COMMENT ON COLUMN message_store.epochs.settled_up_to IS
  'Up to this global position the log is that of the epochs before, for certain.';
COMMENT ON COLUMN message_store.epochs.began_at IS 'When it was noticed.';
COMMENT ON COLUMN message_store.epochs.reason IS 'Why it began.';
COMMENT ON COLUMN message_store.epochs.role IS 'The role that began it, or whose session noticed.';
COMMENT ON COLUMN message_store.epochs.confirmed_at IS
  'When somebody confirmed that nothing was lost: positions of the epochs before are good, all of them.';
COMMENT ON COLUMN message_store.epochs.confirmed_by IS 'Who.';
COMMENT ON COLUMN message_store.epochs.confirmation IS 'How he knows.';

GRANT SELECT ON message_store.epochs TO message_store, message_store_viewer;
