CREATE TYPE message_store.handler_call AS (
  subscriber_id varchar,
  member bigint,
  global_position bigint,
  attempt bigint,
  is_replay boolean
);

COMMENT ON TYPE message_store.handler_call IS
  'What a handler may know of its call: for whom, which consumer group member, which message, the how-manieth attempt (from 1), and whether it is a replay.';
