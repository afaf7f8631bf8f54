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
  'What people, and failures, did to subscriptions; it outlives them.';
COMMENT ON COLUMN message_store.history.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.history.owner IS 'Whose it was.';
COMMENT ON COLUMN message_store.history.at IS 'When.';
COMMENT ON COLUMN message_store.history.role IS 'Who: the database role.';
COMMENT ON COLUMN message_store.history.action IS
  'What was done: create, alter, start, pause, stop, fail, reset, skip, resize, rebuild, promote, retry, discard, continue, drop.';
COMMENT ON COLUMN message_store.history.position IS 'The global position it was about.';
COMMENT ON COLUMN message_store.history.reason IS 'Why.';
COMMENT ON COLUMN message_store.history.actor IS
  'For whom, where the application said so by the setting message_store.actor.';
