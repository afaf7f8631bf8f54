CREATE TABLE message_store.subscriptions (
  subscriber_id varchar PRIMARY KEY,
  owner regrole NOT NULL,
  category varchar NOT NULL,
  handlers jsonb NOT NULL,
  options jsonb NOT NULL DEFAULT '{}',
  search_path text NOT NULL DEFAULT 'pg_catalog',
  state varchar NOT NULL DEFAULT 'created',
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT subscriptions_handlers_check CHECK (jsonb_typeof(handlers) = 'object'),
  CONSTRAINT subscriptions_options_check CHECK (jsonb_typeof(options) = 'object'),
  -- Spelled as PostgreSQL prints it, so that a dump of a restored dump is the same.
  CONSTRAINT subscriptions_state_check
    CHECK (state::text = 'created'::text OR state::text = 'started'::text)
);

COMMENT ON TABLE message_store.subscriptions IS
  'What each subscriber reads and which functions handle it. Changes rarely.';
COMMENT ON COLUMN message_store.subscriptions.subscriber_id IS
  'Its name, such as aggregators:home-page.';
COMMENT ON COLUMN message_store.subscriptions.owner IS
  'The role whose rights its handlers have.';
COMMENT ON COLUMN message_store.subscriptions.category IS 'The category it reads.';
COMMENT ON COLUMN message_store.subscriptions.handlers IS
  'Message type to function, with schema and signature; $any for the types not named.';
COMMENT ON COLUMN message_store.subscriptions.options IS
  'init: the function that makes the empty read model.';
COMMENT ON COLUMN message_store.subscriptions.search_path IS
  'The search_path its handlers run with: that of the session that created it.';
COMMENT ON COLUMN message_store.subscriptions.state IS
  'created: an orchestrator leaves it alone; started: orchestrators tick it.';
COMMENT ON COLUMN message_store.subscriptions.created_at IS 'When it was created.';
