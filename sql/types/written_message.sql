CREATE TYPE message_store.written_message AS (
  id varchar,
  stream_name varchar,
  position bigint,
  global_position bigint,
  is_duplicate boolean
);

COMMENT ON TYPE message_store.written_message IS
  'Where a message given to write_messages is. is_duplicate: a message of this id was there before, and it is that one''s place. In a replay nothing is written, and all but id and stream_name are NULL.';
