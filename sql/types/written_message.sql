CREATE TYPE message_store.written_message AS (
  id varchar,
  stream_name varchar,
  position bigint,
  global_position bigint,
  is_duplicate boolean
);

COMMENT ON TYPE message_store.written_message IS
  'Where write_messages put a message. is_duplicate: a message with this id was there before, and this is its place. In a replay nothing is written: all columns except id and stream_name are NULL.';
