-- Names and types are compared by their bytes ("C"): equal is equal in every collation, the order
-- among different ones means nothing here, and no library's change of order corrupts an index.
--
-- The sequence is named here: a name that bigserial makes up avoids those of transactions that are
-- still running, and would stay another one where they roll back.
CREATE SEQUENCE message_store.messages_global_position_seq;

CREATE TABLE message_store.messages (
  global_position bigint NOT NULL DEFAULT nextval('message_store.messages_global_position_seq'),
  position bigint NOT NULL,
  time timestamp without time zone NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
  stream_name text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  data jsonb,
  metadata jsonb,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  CONSTRAINT messages_pkey PRIMARY KEY (global_position) NOT DEFERRABLE INITIALLY IMMEDIATE
);

ALTER SEQUENCE message_store.messages_global_position_seq OWNED BY message_store.messages.global_position;

COMMENT ON TABLE message_store.messages IS
  'The log: every message once, in the stream it was written to. Only write_message and write_messages write to it.';
COMMENT ON COLUMN message_store.messages.global_position IS
  'The place in the whole log, from 1. Positions rise, with gaps where writers rolled back.';
COMMENT ON COLUMN message_store.messages.position IS
  'The place in the stream: 0, 1, 2, ... without gaps.';
COMMENT ON COLUMN message_store.messages.time IS 'The UTC time of the transaction that wrote it.';
COMMENT ON COLUMN message_store.messages.stream_name IS
  'category-id. The part before the first dash is the category.';
COMMENT ON COLUMN message_store.messages.type IS 'What happened. It chooses the handler.';
COMMENT ON COLUMN message_store.messages.data IS 'The message itself.';
COMMENT ON COLUMN message_store.messages.metadata IS
  'About the message: causation, correlation, reply address.';
COMMENT ON COLUMN message_store.messages.id IS 'Unique in the whole log.';

-- No INSERT for anyone and nothing on the sequence: a row written past write_message holds no
-- lock, and a reader would step over it before it commits.
GRANT SELECT ON message_store.messages TO message_store, message_store_viewer;
