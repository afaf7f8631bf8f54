CREATE TYPE message_store.new_message AS (
  stream_name varchar,
  type varchar,
  data jsonb,
  metadata jsonb,
  id varchar,
  expected_version bigint
);

COMMENT ON TYPE message_store.new_message IS
  'A message to be written with write_messages. stream_name and type must be there; id: a UUID, made where it is NULL; expected_version: the version its stream must have when it is written, counting the messages before it in the batch.';
