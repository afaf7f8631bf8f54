CREATE TYPE message_store.handler_call AS (
  subscriber_id varchar,
  member bigint,
  global_position bigint,
  attempt bigint,
  is_replay boolean,
  is_retry boolean,
  read_model varchar
);

COMMENT ON TYPE message_store.handler_call IS
  'What a handler may know of its call: for whom, which consumer group member, which message (the last of a run), the how-manieth attempt (from 1), whether the message was handled before (then nothing is written to streams), whether it was parked (then later ones were handled already), and the schema of the tables to write to, NULL for the live read model.';
