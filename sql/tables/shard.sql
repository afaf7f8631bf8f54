CREATE TABLE message_store.shard (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  number bigint NOT NULL,
  shards bigint NOT NULL,
  grown_from bigint NOT NULL,
  map bigint NOT NULL,
  addresses text[] NOT NULL DEFAULT '{}',
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK (number BETWEEN 0 AND shards - 1),
  CHECK (shards % grown_from = 0)
);

COMMENT ON TABLE message_store.shard IS
  'Which shard this store is, where it is one of several: one row, or none. become_shard() writes it.';
COMMENT ON COLUMN message_store.shard.is_only IS 'Always true: there is one row.';
COMMENT ON COLUMN message_store.shard.number IS
  'Its number, from 0. The streams whose hashed cardinal id leaves it, divided by shards, live here. The global positions that it draws leave it, divided by 1,024.';
COMMENT ON COLUMN message_store.shard.shards IS 'How many shards there are.';
COMMENT ON COLUMN message_store.shard.grown_from IS
  'How many there were when what lies here was divided last: a copy of this one may become any that has a share of that.';
COMMENT ON COLUMN message_store.shard.map IS
  'The version of the map: who asks with another one is told to look again.';
COMMENT ON COLUMN message_store.shard.addresses IS
  'Where all shards are, in the order of their numbers, as libpq takes it; without passwords.';
COMMENT ON COLUMN message_store.shard.since IS 'When it became that.';

GRANT SELECT ON message_store.shard TO message_store, message_store_viewer;
