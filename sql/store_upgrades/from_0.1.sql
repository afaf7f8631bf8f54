-- Brings the tables of a store that 0.1 made to what 0.2 makes. The positions stay.
DROP VIEW message_store.subscription_status;
DROP TABLE message_store.parked_messages;
ALTER TABLE message_store.subscriptions RENAME COLUMN category TO source;
ALTER TABLE message_store.subscriptions
  ADD COLUMN state_reason text,
  ADD COLUMN state_changed_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN start_position bigint NOT NULL DEFAULT 0,
  ADD COLUMN replay_mark bigint NOT NULL DEFAULT 0,
  ADD COLUMN replay_layers jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN copy_of varchar REFERENCES message_store.subscriptions (subscriber_id) ON DELETE CASCADE,
  ADD COLUMN copy_schema name,
  DROP CONSTRAINT subscriptions_state_check,
  ADD CONSTRAINT subscriptions_state_check
    CHECK (state::text = 'created'::text OR state::text = 'started'::text
      OR state::text = 'paused'::text OR state::text = 'stopped'::text);
ALTER TABLE message_store.subscription_progress
  ADD COLUMN group_size bigint NOT NULL DEFAULT 1,
  ADD COLUMN drains_until bigint,
  ADD COLUMN handled bigint NOT NULL DEFAULT 0,
  ADD COLUMN rate double precision,
  ADD COLUMN rate_since timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN rate_from bigint NOT NULL DEFAULT 0,
  ADD COLUMN attempts bigint NOT NULL DEFAULT 0,
  ADD COLUMN failing_position bigint,
  ADD COLUMN failing_since timestamptz,
  ADD COLUMN retry_at timestamptz,
  ADD COLUMN last_error text,
  ADD COLUMN last_sqlstate varchar,
  ADD COLUMN last_error_at timestamptz,
  ADD COLUMN lease bigint,
  ADD COLUMN leased_until timestamptz,
  ADD COLUMN leased_position bigint;
GRANT INSERT, UPDATE, DELETE ON message_store.read_model_pages TO message_store;
GRANT SELECT ON message_store.messages, message_store.read_model_pages,
  message_store.category_type_summary, message_store.stream_summary,
  message_store.stream_type_summary, message_store.type_category_summary,
  message_store.type_stream_summary, message_store.type_summary
TO message_store_viewer;

COMMENT ON TABLE message_store.subscriptions IS
  'What each subscriber reads and which functions handle it. Changes rarely.';
COMMENT ON COLUMN message_store.subscriptions.subscriber_id IS
  'Its name, such as aggregators:home-page.';
COMMENT ON COLUMN message_store.subscriptions.owner IS
  'The role whose rights its handlers have.';
COMMENT ON COLUMN message_store.subscriptions.source IS
  'What it reads: a category, a stream, or $all.';
COMMENT ON COLUMN message_store.subscriptions.handlers IS
  'Message type to function, with schema and signature. $any stands for all other types. Empty if an application fetches the messages.';
COMMENT ON COLUMN message_store.subscriptions.options IS
  'The options that create_subscription was given.';
COMMENT ON COLUMN message_store.subscriptions.search_path IS
  'The search_path that its handlers run with. It is the option search_path, or else the one of the session that created the subscription.';
COMMENT ON COLUMN message_store.subscriptions.state IS
  'created: orchestrators leave it alone; started: orchestrators tick it; paused, stopped: nobody ticks it.';
COMMENT ON COLUMN message_store.subscriptions.state_reason IS
  'Why it is in this state, if a person or a failure gave a reason.';
COMMENT ON COLUMN message_store.subscriptions.state_changed_at IS 'When it entered this state.';
COMMENT ON COLUMN message_store.subscriptions.start_position IS
  'It began after this global position. A rebuild begins there too.';
COMMENT ON COLUMN message_store.subscriptions.replay_mark IS
  'Messages up to this global position were handled before. Their handlers are told that it is a replay, and write no messages.';
COMMENT ON COLUMN message_store.subscriptions.replay_layers IS
  'How far each member had come when a group was set back while its members stood at different positions. A message after replay_mark was handled before if its member had come that far.';
COMMENT ON COLUMN message_store.subscriptions.copy_of IS
  'The subscription whose read model this one fills again, beside the live one.';
COMMENT ON COLUMN message_store.subscriptions.copy_schema IS
  'The schema of the tables that such a copy fills.';
COMMENT ON COLUMN message_store.subscriptions.created_at IS 'When it was created.';

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
COMMENT ON COLUMN message_store.subscription_progress.last_sqlstate IS 'SQLSTATE of the last error.';
COMMENT ON COLUMN message_store.subscription_progress.last_error_at IS
  'When the last error happened.';
COMMENT ON COLUMN message_store.subscription_progress.lease IS
  'The lease under which an application handles fetched messages.';
COMMENT ON COLUMN message_store.subscription_progress.leased_until IS 'When the lease runs out.';
COMMENT ON COLUMN message_store.subscription_progress.leased_position IS
  'The global position of the last message of the lease.';
