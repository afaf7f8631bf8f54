CREATE FUNCTION message_store.create_subscription(
  subscriber_id varchar,
  source varchar,
  handlers jsonb,
  options jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'create_subscription';

COMMENT ON FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb) IS
  'Says what a subscriber reads, and which functions handle its messages with the rights of the caller, its owner. It starts nothing. source: a category, a stream, or $all. handlers: message type to function name, $any for the rest; a function takes (bigint), the global position, or (message_store.message), or an array of either for a run of consecutive messages; {} where an application fetches the messages. options: see docs/reference.md. Called again it keeps the position and replaces handlers and options; true when something changed. Errors: 22023, 42883 (no such function), 42501, 42710 (another source).';
