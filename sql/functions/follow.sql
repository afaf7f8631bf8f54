CREATE FUNCTION message_store.follow(
  message message_store.message,
  metadata jsonb DEFAULT '{}'
) RETURNS jsonb
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'follow';

COMMENT ON FUNCTION message_store.follow(message_store.message, jsonb) IS
  'Returns metadata for a message that is written because of another one. It holds the other one''s causationMessageStreamName, causationMessagePosition and causationMessageGlobalPosition, its correlationStreamName and replyStreamName and what the setting message_store.inherited_metadata names (traceId, userId, traceparent, tracestate), if it has them, and the given metadata. A key of the given metadata wins. In a handler of a single message, write_messages does this by itself.';
