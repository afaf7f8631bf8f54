CREATE TABLE message_store.subscription_progress (
  subscriber_id varchar NOT NULL
    REFERENCES message_store.subscriptions (subscriber_id) ON DELETE CASCADE,
  member bigint NOT NULL DEFAULT 0,
  position bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subscriber_id, member)
) WITH (fillfactor = 20);

COMMENT ON TABLE message_store.subscription_progress IS
  'How far each subscriber has come. Updated at every tick that found something: narrow, with room on its pages, and no index but its key.';
COMMENT ON COLUMN message_store.subscription_progress.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.subscription_progress.member IS
  'The consumer group member, from 0.';
COMMENT ON COLUMN message_store.subscription_progress.position IS
  'The last global position scanned; commits together with the effects of its messages.';
COMMENT ON COLUMN message_store.subscription_progress.updated_at IS
  'When it last moved.';
