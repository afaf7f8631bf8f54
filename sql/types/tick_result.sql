CREATE TYPE message_store.tick_result AS (
  outcome varchar,
  scanned bigint,
  handled bigint,
  position bigint
);

COMMENT ON TYPE message_store.tick_result IS
  'What a tick did. outcome: progressed; idle (everything drawn before is settled and processed); held_back (writers in flight keep messages back: try again in a few ms); busy (another session ticks). scanned: messages read; handled: those given to a handler; position: the last one scanned.';
