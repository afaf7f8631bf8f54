CREATE TABLE message_store.history (
  subscriber_id varchar NOT NULL,
  owner regrole NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  role name NOT NULL,
  action varchar NOT NULL,
  position bigint,
  reason text,
  actor text
);

CREATE INDEX history_subscriber ON message_store.history (subscriber_id, at);

COMMENT ON TABLE message_store.history IS
  'What people and failures did to subscriptions. The entries of a dropped subscription stay.';
COMMENT ON COLUMN message_store.history.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.history.owner IS 'Who owned the subscription.';
COMMENT ON COLUMN message_store.history.at IS 'When it was done.';
COMMENT ON COLUMN message_store.history.role IS 'The database role that did it.';
COMMENT ON COLUMN message_store.history.action IS
  'What was done: create, alter, reassign, start, pause, stop, fail, reset, skip, resize, rebuild, promote, retry, discard, continue, drop.';
COMMENT ON COLUMN message_store.history.position IS 'The global position that it was about.';
COMMENT ON COLUMN message_store.history.reason IS 'Why it was done.';
COMMENT ON COLUMN message_store.history.actor IS
  'The person that the role acted for, if the application named one in the setting message_store.actor.';
