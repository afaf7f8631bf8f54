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
  'What a handler can learn about its call. global_position: the message, or the last one of a run. attempt: from 1. is_replay: the message was handled before, so nothing is written to streams. is_retry: the message was parked, so later ones were handled already. read_model: the schema of the tables to write to; NULL means the live read model.';
