CREATE FUNCTION message_store.follow(
  message message_store.message,
  metadata jsonb DEFAULT '{}'
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'follow';

COMMENT ON FUNCTION message_store.follow(message_store.message, jsonb) IS
  'Metadata of a message that is written because of another one: causationMessageStreamName, causationMessagePosition and causationMessageGlobalPosition of that one, its correlationStreamName and replyStreamName where it has them, and what is in metadata, which wins. write_messages does it by itself in a handler of a single message.';
