CREATE TYPE message_store.message AS (
  id varchar,
  stream_name varchar,
  type varchar,
  position bigint,
  global_position bigint,
  data varchar,
  metadata varchar,
  time timestamp
);

COMMENT ON TYPE message_store.message IS
  'A message as readers get it. data and metadata are JSON text. Message DB: message.';
