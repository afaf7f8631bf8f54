CREATE TABLE message_store.shard_progress (
  subscriber_id varchar NOT NULL,
  member bigint NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (subscriber_id, member)
);

COMMENT ON TABLE message_store.shard_progress IS
  'How far the members of subscriptions were when this shard became two. From there on it passes over what has moved; the copy of it that has that goes on from there.';
COMMENT ON COLUMN message_store.shard_progress.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.shard_progress.member IS 'The member, as in subscription_progress.';
COMMENT ON COLUMN message_store.shard_progress.position IS 'Its position then.';
