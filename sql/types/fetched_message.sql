CREATE TYPE message_store.fetched_message AS (
  id varchar,
  stream_name varchar,
  type varchar,
  position bigint,
  global_position bigint,
  data varchar,
  metadata varchar,
  time timestamp,
  lease bigint,
  attempt bigint
);

COMMENT ON TYPE message_store.fetched_message IS
  'A message as fetch gives it to an application: the columns of message, the lease to acknowledge it with, and the how-manieth attempt (from 1; more for a parked message that is retried).';
