CREATE TABLE message_store.parked (
  subscriber_id varchar NOT NULL
    REFERENCES message_store.subscriptions (subscriber_id) ON DELETE CASCADE,
  global_position bigint NOT NULL,
  stream_name text NOT NULL,
  type text NOT NULL,
  status varchar NOT NULL,
  holds_stream boolean NOT NULL DEFAULT true,
  attempts bigint NOT NULL DEFAULT 0,
  sqlstate varchar,
  error text,
  parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_failed_at timestamptz,
  reason text,
  lease bigint,
  is_replay boolean NOT NULL DEFAULT false,
  retry_at timestamptz,
  error_details jsonb,
  PRIMARY KEY (subscriber_id, global_position)
);

CREATE INDEX parked_due ON message_store.parked (subscriber_id, global_position)
  WHERE status = 'retry';
CREATE INDEX parked_stream ON message_store.parked (subscriber_id, stream_name, global_position);

COMMENT ON TABLE message_store.parked IS
  'Messages that a subscription has parked because their handler failed, and those of the same stream that wait behind them.';
COMMENT ON COLUMN message_store.parked.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.parked.global_position IS 'The message.';
COMMENT ON COLUMN message_store.parked.stream_name IS 'Its stream.';
COMMENT ON COLUMN message_store.parked.type IS 'Its type.';
COMMENT ON COLUMN message_store.parked.status IS
  'failed; waiting (behind a failed one of its stream); retry (the next ticks handle it, or it waits for one of its stream that they handle); replaying (a rebuild will come to it); discarded (never handled, not even by a rebuild).';
COMMENT ON COLUMN message_store.parked.holds_stream IS
  'Whether later messages of its stream wait behind it.';
COMMENT ON COLUMN message_store.parked.attempts IS 'How often its handler was called and failed.';
COMMENT ON COLUMN message_store.parked.sqlstate IS 'SQLSTATE of the last error.';
COMMENT ON COLUMN message_store.parked.error IS 'Message of the last error.';
COMMENT ON COLUMN message_store.parked.error_details IS
  'Its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
COMMENT ON COLUMN message_store.parked.parked_at IS 'When it was parked.';
COMMENT ON COLUMN message_store.parked.last_failed_at IS 'When its handler last failed.';
COMMENT ON COLUMN message_store.parked.reason IS 'Why it was discarded.';
COMMENT ON COLUMN message_store.parked.lease IS
  'The lease under which an application handles it again.';
COMMENT ON COLUMN message_store.parked.retry_at IS
  'When its handler is called again, if its status is retry and it has attempts left.';
COMMENT ON COLUMN message_store.parked.is_replay IS
  'Whether it had been handled before, when a replay came to it.';
