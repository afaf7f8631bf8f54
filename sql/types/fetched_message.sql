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
  'A message as fetch returns it: the columns of message, the lease for ack, and the attempt. The first attempt is 1; it is higher when a parked message is retried.';
