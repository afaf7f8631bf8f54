-- 0.1.1 adds horizon_blockers, and increment_videos_watched for a run of messages. The store and the locks' protocol are as in 0.1.0.
CREATE FUNCTION message_store.horizon_blockers(category varchar DEFAULT NULL)
RETURNS TABLE (pid integer, is_prepared boolean, holds_back_after bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'horizon_blockers';

COMMENT ON FUNCTION message_store.horizon_blockers(varchar) IS
  'The transactions in flight that keep messages of a category (NULL: of any) from being read: the session''s process id (NULL for a prepared transaction, see pg_prepared_xacts), and the global position after which it holds back.';

CREATE FUNCTION message_store.increment_videos_watched(global_positions bigint[]) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'increment_videos_watched_by';

COMMENT ON FUNCTION message_store.increment_videos_watched(bigint[]) IS
  'Counts the viewings at these global positions on the home page in one UPDATE, as if each were counted after the one before it; true when any counted.';

REVOKE EXECUTE ON FUNCTION message_store.increment_videos_watched(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.increment_videos_watched(bigint[]) TO message_store;

COMMENT ON FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb) IS
  'Says that a subscriber reads a category, and which functions handle its messages with the rights of the caller, its owner. handlers: message type to function name, $any for the rest; a function takes (bigint), the global position, or (message_store.message), or an array of either for a run of consecutive messages. options: init, a function that makes the empty read model. Called again it keeps the position and replaces handlers and options; true when something changed. Errors: 22023, 42883 (no such function), 42501, 42710 (another category).';
