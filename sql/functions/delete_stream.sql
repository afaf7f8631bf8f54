CREATE FUNCTION message_store.delete_stream(
  stream_name varchar,
  reason varchar,
  before bigint DEFAULT NULL,
  restart boolean DEFAULT false,
  may_skip boolean DEFAULT false,
  max_messages bigint DEFAULT 10000
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'delete_stream';

COMMENT ON FUNCTION message_store.delete_stream(varchar, varchar, bigint, boolean, boolean, bigint) IS
  'Deletes the messages of a stream for good, oldest first, those before a position if one is given, at most max_messages in a call. Returns how many; call it again while that is max_messages. The stream''s version goes on where it was, unless restart. Refuses (55000) what a subscription has still to handle or has parked, unless may_skip. Errors: 22023, 42501, 25001, 55000.';
