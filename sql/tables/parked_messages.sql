CREATE TABLE message_store.parked_messages (
  subscriber_id varchar NOT NULL
    REFERENCES message_store.subscriptions (subscriber_id) ON DELETE CASCADE,
  member bigint NOT NULL DEFAULT 0,
  global_position bigint NOT NULL,
  stream_name text NOT NULL,
  attempts bigint NOT NULL DEFAULT 0,
  sqlstate varchar,
  error text,
  parked_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subscriber_id, member, global_position)
);

COMMENT ON TABLE message_store.parked_messages IS
  'Messages a subscription has put aside because their handler failed.';
COMMENT ON COLUMN message_store.parked_messages.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.parked_messages.member IS 'The consumer group member, from 0.';
COMMENT ON COLUMN message_store.parked_messages.global_position IS 'The message.';
COMMENT ON COLUMN message_store.parked_messages.stream_name IS 'Its stream.';
COMMENT ON COLUMN message_store.parked_messages.attempts IS 'How often its handler was called.';
COMMENT ON COLUMN message_store.parked_messages.sqlstate IS 'SQLSTATE of the last error.';
COMMENT ON COLUMN message_store.parked_messages.error IS 'Text of the last error.';
COMMENT ON COLUMN message_store.parked_messages.parked_at IS 'When it was put aside.';
