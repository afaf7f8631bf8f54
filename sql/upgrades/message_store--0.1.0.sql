-- Roles belong to the cluster: another database, or a Message DB, may have made this one.
DO $$
BEGIN
  CREATE ROLE message_store LOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
CREATE TYPE message_store.handler_call AS (
  subscriber_id varchar,
  member bigint,
  global_position bigint,
  attempt bigint,
  is_replay boolean
);

COMMENT ON TYPE message_store.handler_call IS
  'What a handler may know of its call: for whom, which consumer group member, which message, the how-manieth attempt (from 1), and whether it is a replay.';
CREATE TYPE message_store.message AS (
  id varchar,
  stream_name varchar,
  type varchar,
  position bigint,
  global_position bigint,
  data varchar,
  metadata varchar,
  time timestamp
);

COMMENT ON TYPE message_store.message IS
  'A message as readers get it; data and metadata are JSON text. Message DB: message.';
CREATE TYPE message_store.tick_result AS (
  outcome varchar,
  scanned bigint,
  handled bigint,
  position bigint
);

COMMENT ON TYPE message_store.tick_result IS
  'What a tick did. outcome: progressed; idle (everything drawn before is settled and processed); held_back (writers in flight keep messages back: try again in a few ms); busy (another session ticks). scanned: messages read; handled: those given to a handler; position: the last one scanned.';
CREATE FUNCTION message_store.acquire_lock(stream_name varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'acquire_lock';

COMMENT ON FUNCTION message_store.acquire_lock(varchar) IS
  'Takes the advisory lock of the stream''s category until the end of the transaction and returns its key. Writers here do not take it. Message DB: acquire_lock.';
CREATE FUNCTION message_store.cardinal_id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'cardinal_id';

COMMENT ON FUNCTION message_store.cardinal_id(varchar) IS
  'The id up to its first plus sign; NULL for a category. Consumer groups share out by it. Message DB: cardinal_id.';
CREATE FUNCTION message_store.category(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'category';

COMMENT ON FUNCTION message_store.category(varchar) IS
  'The part of a stream name before its first dash; the whole name where there is none. Message DB: category.';
CREATE FUNCTION message_store.create_store() RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, message_store, pg_temp
SET client_min_messages = warning
AS 'MODULE_PATHNAME', 'create_store';

COMMENT ON FUNCTION message_store.create_store() IS
  'Makes the tables, indexes and views of a message store, owned by the caller; leaves alone what is there. Call it once after CREATE EXTENSION.';
CREATE FUNCTION message_store.create_subscription(
  subscriber_id varchar,
  category varchar,
  handlers jsonb,
  options jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'create_subscription';

COMMENT ON FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb) IS
  'Says that a subscriber reads a category, and which functions handle its messages with the rights of the caller, its owner. handlers: message type to function name, $any for the rest; a function takes (bigint), the global position, or (message_store.message). options: init, a function that makes the empty read model. Called again it keeps the position and replaces handlers and options; true when something changed. Errors: 22023, 42883 (no such function), 42501, 42710 (another category).';
CREATE FUNCTION message_store.ensure_home_page() RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'ensure_home_page';

COMMENT ON FUNCTION message_store.ensure_home_page() IS
  'Makes the home page''s row, {"lastViewProcessed": 0, "videosWatched": 0}, where it is missing.';
CREATE FUNCTION message_store.get_all_messages(
  "position" bigint DEFAULT 1,
  batch_size bigint DEFAULT 1000
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_all_messages';

COMMENT ON FUNCTION message_store.get_all_messages(bigint, bigint) IS
  'Settled messages of every category from a global position on, in order. batch_size: how many at most, -1 for all. Needs READ COMMITTED (25001).';
CREATE FUNCTION message_store.get_category_messages(
  category varchar,
  "position" bigint DEFAULT 1,
  batch_size bigint DEFAULT 1000,
  correlation varchar DEFAULT NULL,
  consumer_group_member bigint DEFAULT NULL,
  consumer_group_size bigint DEFAULT NULL,
  condition varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_category_messages';

COMMENT ON FUNCTION message_store.get_category_messages(varchar, bigint, bigint, varchar, bigint, bigint, varchar) IS
  'Settled messages of a category from a global position on, in order: none that is still to come lies before one returned. Waits for nobody. Needs READ COMMITTED (25001). Arguments as in Message DB: get_category_messages.';
CREATE FUNCTION message_store.get_last_stream_message(
  stream_name varchar,
  type varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_last_stream_message';

COMMENT ON FUNCTION message_store.get_last_stream_message(varchar, varchar) IS
  'The last message of a stream, or its last one of a type. Message DB: get_last_stream_message.';
CREATE FUNCTION message_store.get_stream_messages(
  stream_name varchar,
  "position" bigint DEFAULT 0,
  batch_size bigint DEFAULT 1000,
  condition varchar DEFAULT NULL
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_stream_messages';

COMMENT ON FUNCTION message_store.get_stream_messages(varchar, bigint, bigint, varchar) IS
  'Messages of a stream from a position on, in order. batch_size: how many at most, -1 for all. condition: SQL over messages, with the caller''s rights, where message_store.sql_condition is on. Message DB: get_stream_messages.';
CREATE FUNCTION message_store.handler_context() RETURNS message_store.handler_call
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'handler_context';

COMMENT ON FUNCTION message_store.handler_context() IS
  'Inside a handler: what it may know of its call. NULL elsewhere.';
CREATE FUNCTION message_store.hash_64(value varchar) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'hash_64';

COMMENT ON FUNCTION message_store.hash_64(varchar) IS
  'The first eight bytes of the MD5 sum as a signed number. Message DB: hash_64.';
CREATE FUNCTION message_store.id(stream_name varchar) RETURNS varchar
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'id';

COMMENT ON FUNCTION message_store.id(varchar) IS
  'The part of a stream name after its first dash; NULL for a category. Message DB: id.';
CREATE FUNCTION message_store.increment_videos_watched(global_position bigint) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'increment_videos_watched';

COMMENT ON FUNCTION message_store.increment_videos_watched(bigint) IS
  'Counts the viewing at this global position on the home page, once; true when it counted. A position at or below the last one counted changes nothing.';
CREATE FUNCTION message_store.is_category(stream_name varchar) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'is_category';

COMMENT ON FUNCTION message_store.is_category(varchar) IS
  'Whether the name has no dash; true for NULL. Message DB: is_category.';
CREATE FUNCTION message_store.message_store_version() RETURNS varchar
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'message_store_version';

COMMENT ON FUNCTION message_store.message_store_version() IS
  'The version of Message DB whose interface this is: 1.3.0. The library''s own is in pg_extension. Message DB: message_store_version.';
CREATE FUNCTION message_store.start(subscriber_id varchar) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'start';

COMMENT ON FUNCTION message_store.start(varchar) IS
  'Runs the subscription''s init as its owner and lets orchestrators tick it. Errors: 42704 (no such subscription), 42501.';
CREATE FUNCTION message_store.stream_version(stream_name varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'stream_version';

COMMENT ON FUNCTION message_store.stream_version(varchar) IS
  'The position of a stream''s last message; NULL for a stream without messages. Message DB: stream_version.';
CREATE FUNCTION message_store.tick(
  subscriber_id varchar,
  batch_size bigint DEFAULT 1000
) RETURNS message_store.tick_result
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tick';

COMMENT ON FUNCTION message_store.tick(varchar, bigint) IS
  'One pass of a subscription: reads up to batch_size settled messages, hands each to the handler of its type with the owner''s rights, and stores the position. Effects and position commit together. Returns at once where another session ticks. Errors: 42704, 22023, 25001, and those of handlers, which leave the position where it was.';
CREATE PROCEDURE message_store.wait_for_messages(
  IN after bigint,
  IN timeout interval,
  INOUT last bigint DEFAULT NULL
)
LANGUAGE c
AS 'MODULE_PATHNAME', 'wait_for_messages';

COMMENT ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) IS
  'Waits in the server until a global position above after has been drawn, at most for timeout, and returns the last one drawn. Holds no snapshot while it waits, so it must be a statement of its own (25001). A position is drawn before it commits: tick until idle afterwards.';
CREATE FUNCTION message_store.write_message(
  id varchar,
  stream_name varchar,
  "type" varchar,
  data jsonb,
  metadata jsonb DEFAULT NULL,
  expected_version bigint DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_message';

COMMENT ON FUNCTION message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) IS
  'Writes a message to the end of a stream and returns its position there, from 0. id: a UUID, unique in the log (22P02, 23505). stream_name: at most 2,600 bytes; type: not empty (22023). expected_version: the position of the stream''s last message, -1 for none; another one is refused (P0001, Wrong expected version). Waits for a transaction in flight that writes to the same stream. Message DB: write_message.';
-- EXECUTE is the privilege to write and to steer subscriptions: not for everybody.
-- The parsing functions stay PUBLIC, since indexes and views of the store use them.
REVOKE EXECUTE ON FUNCTION
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.ensure_home_page(),
  message_store.increment_videos_watched(bigint),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.start(varchar),
  message_store.tick(varchar, bigint)
FROM PUBLIC;

REVOKE EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.ensure_home_page(),
  message_store.increment_videos_watched(bigint),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.start(varchar),
  message_store.tick(varchar, bigint)
TO message_store;

GRANT EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) TO message_store;

GRANT USAGE ON SCHEMA message_store TO message_store;
