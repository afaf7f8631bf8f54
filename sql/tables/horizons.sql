CREATE TABLE message_store.horizons (
  source text COLLATE "C" PRIMARY KEY,
  position bigint NOT NULL,
  drawn bigint NOT NULL,
  proven_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 20);

COMMENT ON TABLE message_store.horizons IS
  'How far messages were proven to be settled. A standby cannot prove it and reads as far as the rows that have come to it. Orchestrators write it by record_horizons(), several times a second while messages are written: so its rows are narrow and its pages have free room.';
COMMENT ON COLUMN message_store.horizons.source IS
  'A category, or $all. A category has a row only where a transaction that wrote elsewhere held $all back.';
COMMENT ON COLUMN message_store.horizons.position IS
  'No message of the source is still to come at or below this global position.';
COMMENT ON COLUMN message_store.horizons.drawn IS
  'The last global position that was drawn when it was proven; higher than position while a transaction holds readers back.';
COMMENT ON COLUMN message_store.horizons.proven_at IS 'When it was proven.';

GRANT SELECT ON message_store.horizons TO message_store, message_store_viewer;
