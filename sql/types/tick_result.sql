CREATE TYPE message_store.tick_result AS (
  outcome varchar,
  scanned bigint,
  handled bigint,
  position bigint,
  parked bigint,
  retry_at timestamptz,
  sqlstate varchar,
  error text,
  error_details jsonb
);

COMMENT ON TYPE message_store.tick_result IS
  'What a tick did. outcome: progressed; idle (everything drawn before is settled and processed); held_back (open transactions keep messages back, so tick again in a few ms); busy (another session ticks); retrying (a handler failed and is called again at retry_at); stopped (a handler failed for good, or somebody stopped the subscription); paused. scanned: messages read. handled: messages given to a handler. position: the last one scanned. parked: messages parked. sqlstate, error: of the failure. error_details: its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
