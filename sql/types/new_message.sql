CREATE TYPE message_store.new_message AS (
  stream_name varchar,
  type varchar,
  data jsonb,
  metadata jsonb,
  id varchar,
  expected_version bigint
);

COMMENT ON TYPE message_store.new_message IS
  'A message to write with write_messages. stream_name and type are required. id: a UUID; one is made if it is NULL. expected_version: the version that its stream must have when it is written. Messages before it in the batch count.';
