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
  'Message type to function, with schema and signature; $any for the types not named. Empty where an application fetches the messages.';
COMMENT ON COLUMN message_store.subscriptions.options IS
  'What create_subscription was given as options.';
COMMENT ON COLUMN message_store.subscriptions.search_path IS
  'The search_path its handlers run with: that of the session that created it.';
COMMENT ON COLUMN message_store.subscriptions.state IS
  'created: an orchestrator leaves it alone; started: orchestrators tick it; paused, stopped: nobody does.';
COMMENT ON COLUMN message_store.subscriptions.state_reason IS
  'Why it is in this state, where somebody or a failure said so.';
COMMENT ON COLUMN message_store.subscriptions.state_changed_at IS 'Since when.';
COMMENT ON COLUMN message_store.subscriptions.start_position IS
  'The global position after which it began, and a rebuild begins.';
COMMENT ON COLUMN message_store.subscriptions.replay_mark IS
  'Messages up to this global position were handled before: handlers are told that it is a replay, and write no messages.';
COMMENT ON COLUMN message_store.subscriptions.replay_layers IS
  'How far each member had come when a group whose members were not alike was set back: what lies beyond replay_mark was handled before as far as these say.';
COMMENT ON COLUMN message_store.subscriptions.copy_of IS
  'The subscription whose read model this one fills anew, beside the live one.';
COMMENT ON COLUMN message_store.subscriptions.copy_schema IS
  'The schema of the tables that such a copy fills.';
COMMENT ON COLUMN message_store.subscriptions.created_at IS 'When it was created.';
