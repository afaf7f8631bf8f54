CREATE FUNCTION message_store.create_subscription(
  subscriber_id varchar,
  source varchar,
  handlers jsonb,
  options jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'create_subscription';

COMMENT ON FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb) IS
  'Declares what a subscriber reads, and which functions handle its messages. The caller becomes the owner, and the handlers run with the owner''s rights. Nothing is started. source: a category, a stream, or $all. handlers: message type to function name; $any stands for all other types; {} means that an application fetches the messages. A handler takes (bigint), the global position, or (message_store.message), or an array of either for a run of consecutive messages. options: see docs/reference.md. A second call keeps the position and replaces handlers and options. Returns true when something changed. Errors: 22023, 42883 (no such function), 42501, 42710 (another source).';
