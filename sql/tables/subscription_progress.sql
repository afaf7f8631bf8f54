CREATE TABLE message_store.subscription_progress (
  subscriber_id varchar NOT NULL
    REFERENCES message_store.subscriptions (subscriber_id) ON DELETE CASCADE,
  member bigint NOT NULL DEFAULT 0,
  position bigint NOT NULL DEFAULT 0,
  group_size bigint NOT NULL DEFAULT 1,
  drains_until bigint,
  handled bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(),
  rate double precision,
  rate_since timestamptz NOT NULL DEFAULT now(),
  rate_from bigint NOT NULL DEFAULT 0,
  attempts bigint NOT NULL DEFAULT 0,
  failing_position bigint,
  failing_since timestamptz,
  retry_at timestamptz,
  last_error text,
  last_sqlstate varchar,
  last_error_at timestamptz,
  lease bigint,
  leased_until timestamptz,
  leased_position bigint,
  last_error_details jsonb,
  PRIMARY KEY (subscriber_id, member)
) WITH (fillfactor = 20);

COMMENT ON TABLE message_store.subscription_progress IS
  'How far each member of each subscription has come. Every tick that found something updates it. So its rows are narrow, its pages have free room, and its key is its only index.';
COMMENT ON COLUMN message_store.subscription_progress.subscriber_id IS 'The subscription.';
COMMENT ON COLUMN message_store.subscription_progress.member IS
  'The consumer group member, from 0. In a group that was resized, -1, -2, ... are the old members 0, 1, ... until they are done.';
COMMENT ON COLUMN message_store.subscription_progress.position IS
  'The last global position scanned. It commits together with the effects of its messages.';
COMMENT ON COLUMN message_store.subscription_progress.group_size IS
  'How many members the group of this row has.';
COMMENT ON COLUMN message_store.subscription_progress.drains_until IS
  'Where a member of a resized group ends. The new members begin after it, when all old ones are done.';
COMMENT ON COLUMN message_store.subscription_progress.handled IS
  'Messages given to handlers so far.';
COMMENT ON COLUMN message_store.subscription_progress.updated_at IS 'When it last moved.';
COMMENT ON COLUMN message_store.subscription_progress.rate IS
  'Messages scanned a second, over the last ten seconds or more in which there was work.';
COMMENT ON COLUMN message_store.subscription_progress.rate_since IS
  'When the measurement of the next rate began.';
COMMENT ON COLUMN message_store.subscription_progress.rate_from IS
  'Messages scanned since rate_since.';
COMMENT ON COLUMN message_store.subscription_progress.attempts IS
  'Failed attempts at failing_position that count.';
COMMENT ON COLUMN message_store.subscription_progress.failing_position IS
  'The message whose handler fails, until it succeeds or is parked.';
COMMENT ON COLUMN message_store.subscription_progress.failing_since IS
  'When its handler first failed.';
COMMENT ON COLUMN message_store.subscription_progress.retry_at IS
  'When the handler is called again. Earlier ticks do nothing.';
COMMENT ON COLUMN message_store.subscription_progress.last_error IS 'Message of the last error.';
COMMENT ON COLUMN message_store.subscription_progress.last_error_details IS
  'Its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
COMMENT ON COLUMN message_store.subscription_progress.last_sqlstate IS 'SQLSTATE of the last error.';
COMMENT ON COLUMN message_store.subscription_progress.last_error_at IS
  'When the last error happened.';
COMMENT ON COLUMN message_store.subscription_progress.lease IS
  'The lease under which an application handles fetched messages.';
COMMENT ON COLUMN message_store.subscription_progress.leased_until IS 'When the lease runs out.';
COMMENT ON COLUMN message_store.subscription_progress.leased_position IS
  'The global position of the last message of the lease.';
