CREATE TABLE message_store.subscriptions (
  subscriber_id varchar PRIMARY KEY,
  owner regrole NOT NULL,
  source varchar NOT NULL,
  handlers jsonb NOT NULL,
  options jsonb NOT NULL DEFAULT '{}',
  search_path text NOT NULL DEFAULT 'pg_catalog',
  state varchar NOT NULL DEFAULT 'created',
  state_reason text,
  state_changed_at timestamptz NOT NULL DEFAULT now(),
  start_position bigint NOT NULL DEFAULT 0,
  replay_mark bigint NOT NULL DEFAULT 0,
  replay_layers jsonb NOT NULL DEFAULT '[]',
  copy_of varchar REFERENCES message_store.subscriptions (subscriber_id) ON DELETE CASCADE,
  copy_schema name,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT subscriptions_handlers_check CHECK (jsonb_typeof(handlers) = 'object'),
  CONSTRAINT subscriptions_options_check CHECK (jsonb_typeof(options) = 'object'),
  -- Spelled as PostgreSQL prints it, so that a dump of a restored dump is the same.
  CONSTRAINT subscriptions_state_check
    CHECK (state::text = 'created'::text OR state::text = 'started'::text
      OR state::text = 'paused'::text OR state::text = 'stopped'::text)
);

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
