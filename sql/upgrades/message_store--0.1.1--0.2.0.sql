-- 0.2.0 makes ticks a subscription engine: failure policies, consumer groups, rebuilds, services, fetching applications. create_store() brings the tables of subscriptions up to date.
DROP FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb);
DROP FUNCTION message_store.start(varchar);
DROP FUNCTION message_store.tick(varchar, bigint);

ALTER TYPE message_store.tick_result
  ADD ATTRIBUTE parked bigint,
  ADD ATTRIBUTE retry_at timestamptz,
  ADD ATTRIBUTE sqlstate varchar,
  ADD ATTRIBUTE error text;
ALTER TYPE message_store.handler_call
  ADD ATTRIBUTE is_retry boolean,
  ADD ATTRIBUTE read_model varchar;

COMMENT ON TYPE message_store.tick_result IS
  'What a tick did. outcome: progressed; idle (everything drawn before is settled and processed); held_back (writers in flight keep messages back: try again in a few ms); busy (another session ticks); retrying (a handler failed and is called again at retry_at); stopped (a handler failed for good, or somebody stopped it); paused. scanned: messages read; handled: those given to a handler; position: the last one scanned; parked: messages put aside; sqlstate, error: of the failure.';

COMMENT ON TYPE message_store.handler_call IS
  'What a handler may know of its call: for whom, which consumer group member, which message (the last of a run), the how-manieth attempt (from 1), whether the message was handled before (then nothing is written to streams), whether it was parked (then later ones were handled already), and the schema of the tables to write to, NULL for the live read model.';

-- May see and steer every subscription; has the rights of message_store too.
DO $$
BEGIN
  CREATE ROLE message_store_admin NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- May see every subscription, message and read model of the store, and change nothing.
DO $$
BEGIN
  CREATE ROLE message_store_viewer NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE TYPE message_store.fetched_message AS (
  id varchar,
  stream_name varchar,
  type varchar,
  position bigint,
  global_position bigint,
  data varchar,
  metadata varchar,
  time timestamp,
  lease bigint,
  attempt bigint
);

COMMENT ON TYPE message_store.fetched_message IS
  'A message as fetch gives it to an application: the columns of message, the lease to acknowledge it with, and the how-manieth attempt (from 1; more for a parked message that is retried).';

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

CREATE TYPE message_store.written_message AS (
  id varchar,
  stream_name varchar,
  position bigint,
  global_position bigint,
  is_duplicate boolean
);

COMMENT ON TYPE message_store.written_message IS
  'Where a message given to write_messages is. is_duplicate: a message of this id was there before, and it is that one''s place. In a replay nothing is written, and all but id and stream_name are NULL.';

CREATE FUNCTION message_store.ack(
  subscriber_id varchar,
  global_position bigint,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'ack';

COMMENT ON FUNCTION message_store.ack(varchar, bigint, bigint) IS
  'Stores that the application has handled the messages of its lease up to this global position; messages that were parked and are handled again come in batches of their own. lease: from fetch; NULL for the last one this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or is another''s).';

CREATE FUNCTION message_store.alter_subscription(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  options jsonb DEFAULT NULL
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'alter_subscription';

COMMENT ON FUNCTION message_store.alter_subscription(varchar, jsonb, jsonb) IS
  'Replaces the handlers of a subscription and merges options key by key (null removes one), once the running tick has ended. The position stays. True when something changed. Errors: 42704, 42501, 22023, 42883.';

CREATE FUNCTION message_store.cancel_rebuild(subscriber_id varchar) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'cancel_rebuild';

COMMENT ON FUNCTION message_store.cancel_rebuild(varchar) IS
  'Drops the copy that rebuild(subscriber_id, side_by_side => true) made; false where there is none. Errors: 42704, 42501.';

CREATE FUNCTION message_store.continue_from(
  subscriber_id varchar,
  position_stream varchar
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'continue_from';

COMMENT ON FUNCTION message_store.continue_from(varchar, varchar) IS
  'Continues where another program stopped: takes the position that it saved last in position_stream (subscriberPosition-<subscriberId>, messages Read, of the book; <category>:position-<consumerId>, messages Recorded, of Eventide) and returns it. Errors: 42704, 42501, 22023 (no position there).';

-- Counts first, then shows the most watched: the page is one row, the counts are a table of their
-- own. The table's order by views is an index, so that ten of a million videos are ten rows.
-- The last viewings are those of the highest positions, in whatever order messages come: members of
-- a group and parked messages that are handled late make the same page.
CREATE FUNCTION message_store.count_views_per_video(messages message_store.message[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog
AS $$
DECLARE
  read_model name := coalesce((message_store.handler_context()).read_model, 'message_store');
BEGIN
  EXECUTE format(
    $sql$
      INSERT INTO %I.video_views AS known (video_id, views)
      SELECT
        coalesce(m.data::jsonb ->> 'videoId', message_store.id(m.stream_name), m.stream_name),
        count(*)
      FROM unnest($1) m
      GROUP BY 1
      ORDER BY 1
      ON CONFLICT (video_id) DO UPDATE SET views = known.views + excluded.views
    $sql$,
    read_model)
  USING messages;
  EXECUTE format(
    $sql$
      UPDATE %1$I.read_model_pages page
      SET page_data = jsonb_build_object(
        'videos', (
          SELECT coalesce(
            jsonb_agg(jsonb_build_object('videoId', most.video_id, 'views', most.views)
              ORDER BY most.views DESC, most.video_id), '[]')
          FROM (
            SELECT v.video_id, v.views
            FROM %1$I.video_views v
            ORDER BY v.views DESC, v.video_id
            LIMIT 10
          ) most
        ),
        'recent', (
          SELECT coalesce(
            jsonb_agg(last.viewing ORDER BY last.viewing -> 'globalPosition' DESC), '[]')
          FROM (
            SELECT viewing
            FROM (
              SELECT viewing
              FROM jsonb_path_query(page.page_data,
                '$.recent[*] ? (@.globalPosition.type() == "number")') viewing
              UNION ALL (
                SELECT jsonb_build_object(
                  'videoId',
                  coalesce(m.data::jsonb ->> 'videoId', message_store.id(m.stream_name), m.stream_name),
                  'globalPosition', m.global_position,
                  'time', to_char(m.time, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
                FROM unnest($1) m
                ORDER BY m.global_position DESC
                LIMIT 10
              )
            ) known
            ORDER BY viewing -> 'globalPosition' DESC
            LIMIT 10
          ) last
        ))
      WHERE page_name = 'most-watched'
    $sql$,
    read_model)
  USING messages;
END
$$;

COMMENT ON FUNCTION message_store.count_views_per_video(message_store.message[]) IS
  'A handler: counts the viewings of each video (data.videoId, else the stream''s id) in video_views and shows the ten most watched and the ten last viewings on the page most-watched: {"videos": [{"videoId", "views"}], "recent": [{"videoId", "globalPosition", "time"}]}.';

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

CREATE FUNCTION message_store.discard_parked(
  subscriber_id varchar,
  reason varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'discard_parked';

COMMENT ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar) IS
  'Gives up failed parked messages for good, also for rebuilds: all, or those with this position, stream or SQLSTATE. Messages that wait behind one are handled by the next ticks. Returns how many. The reason is kept. Errors: 42704, 42501, 22023.';

CREATE FUNCTION message_store.drop_subscription(subscriber_id varchar) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'drop_subscription';

COMMENT ON FUNCTION message_store.drop_subscription(varchar) IS
  'Forgets a subscription, its position and its parked messages, once the running tick has ended; the read model stays. False where there is none. Errors: 42501.';

CREATE FUNCTION message_store.dry_run(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  n bigint DEFAULT 100,
  parked boolean DEFAULT false,
  global_positions bigint[] DEFAULT NULL
) RETURNS TABLE (read_model text, difference text, before jsonb, after jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'dry_run';

COMMENT ON FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[]) IS
  'Lets handlers (NULL: its own) handle the next n messages, or the first n parked ones (of global_positions where they are given, which means parked ones), and returns the rows of the declared read-model tables this would change; then takes it all back. difference: added, removed, changed. Errors: 42704, 42501, 22023, 42883, 55000 (no read model declared), and those of handlers.';

CREATE FUNCTION message_store.ensure_most_watched() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog
AS $$
DECLARE
  read_model name := coalesce((message_store.handler_context()).read_model, 'message_store');
BEGIN
  EXECUTE format(
    $sql$
      INSERT INTO %I.read_model_pages (page_name, page_data)
      VALUES ('most-watched', '{"videos": [], "recent": []}')
      ON CONFLICT DO NOTHING
    $sql$,
    read_model);
END
$$;

COMMENT ON FUNCTION message_store.ensure_most_watched() IS
  'Makes the page most-watched where it is missing: {"videos": [], "recent": []}.';

CREATE FUNCTION message_store.fetch(
  subscriber_id varchar,
  n bigint,
  lease interval,
  member bigint DEFAULT NULL
) RETURNS SETOF message_store.fetched_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'fetch';

COMMENT ON FUNCTION message_store.fetch(varchar, bigint, interval, bigint) IS
  'The next settled messages, at most n, for a subscription without handlers, leased to the caller: nobody else gets messages of the member meanwhile. ack() says how far they are handled; what was not acknowledged when the lease runs out is fetched again. Delivery is at least once and in order. No rows: nothing to do, paused, or leased to another. Errors: 42704, 42501, 22023, 25001, 55000.';

CREATE FUNCTION message_store.follow(
  message message_store.message,
  metadata jsonb DEFAULT '{}'
) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'follow';

COMMENT ON FUNCTION message_store.follow(message_store.message, jsonb) IS
  'Metadata of a message that is written because of another one: causationMessageStreamName, causationMessagePosition and causationMessageGlobalPosition of that one, its correlationStreamName and replyStreamName where it has them, and what is in metadata, which wins. write_messages does it by itself in a handler of a single message.';

ALTER FUNCTION message_store.handler_context() PARALLEL RESTRICTED;

COMMENT ON FUNCTION message_store.handler_context() IS
  'What the running handler may know of its call; NULL outside a handler.';

CREATE FUNCTION message_store.park(
  subscriber_id varchar,
  global_position bigint,
  error text,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'park';

COMMENT ON FUNCTION message_store.park(varchar, bigint, text, bigint) IS
  'Puts aside a fetched message that the application cannot handle, as a failing handler is by the policy park; later messages of its stream wait behind it. Messages before it count as handled, and the lease ends: fetch again. Errors: 42704, 42501, 22023, 55000 (the lease ran out).';

CREATE FUNCTION message_store.pause(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pause_subscription';

COMMENT ON FUNCTION message_store.pause(varchar, varchar) IS
  'Waits for the running tick and keeps the subscription from being ticked until start(). Failed attempts are remembered. Errors: 42704, 42501.';

CREATE FUNCTION message_store.promote(subscriber_id varchar) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'promote';

COMMENT ON FUNCTION message_store.promote(varchar) IS
  'Lets the copy that rebuild(subscriber_id, side_by_side => true) has filled take the place of the live read model, in this transaction: catches up to the live position first. Errors: 42704, 42501, 55000 (no copy, or too far behind).';

CREATE FUNCTION message_store.rebuild(
  subscriber_id varchar,
  side_by_side boolean DEFAULT false
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'rebuild';

COMMENT ON FUNCTION message_store.rebuild(varchar, boolean) IS
  'Replays all messages. In place: empties the declared read model, runs init, and goes back to the start. side_by_side: a second subscription, <subscriber_id>#rebuild, fills copies of the declared tables beside the live ones, until promote(). Errors: 42704, 42501, 55000 (no read model declared, a rebuild is under way).';

CREATE FUNCTION message_store.register_viewing(command message_store.message) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog
AS $$
  SELECT message_store.write_messages(
    ('viewings-' || (command.data::jsonb ->> 'videoId'))::varchar,
    jsonb_build_array(jsonb_build_object('type', 'VideoViewed', 'data', command.data::jsonb)));
$$;

COMMENT ON FUNCTION message_store.register_viewing(message_store.message) IS
  'The handler of a service: answers the command RegisterViewing {"userId", "videoId"} with the event VideoViewed in the video''s stream. Its id derives from the command, so the event exists once; its metadata says what caused it.';

CREATE FUNCTION message_store.reset(
  subscriber_id varchar,
  "position" bigint,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'reset';

COMMENT ON FUNCTION message_store.reset(varchar, bigint, varchar) IS
  'Sets a subscription back to a global position, the last one that counts as handled; the read model stays as it is. The reason is kept. Errors: 42704, 42501, 22023.';

CREATE FUNCTION message_store.resize_group(
  subscriber_id varchar,
  group_size bigint
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'resize_group';

COMMENT ON FUNCTION message_store.resize_group(varchar, bigint) IS
  'Changes the number of a consumer group''s members while it runs. Members of the old size first bring every message up to the furthest of them to an end; then those of the new size begin. Errors: 42704, 42501, 22023, 55000 (an earlier change has not ended).';

CREATE FUNCTION message_store.retry_parked(
  subscriber_id varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'retry_parked';

COMMENT ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar) IS
  'Lets the next ticks handle failed parked messages again: all, or those with this position, stream or SQLSTATE. Messages that wait behind one follow it. Returns how many. Errors: 42704, 42501.';

CREATE FUNCTION message_store.skip(
  subscriber_id varchar,
  "position" bigint,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'skip';

COMMENT ON FUNCTION message_store.skip(varchar, bigint, varchar) IS
  'Moves a subscription on to a global position: messages up to it count as handled and never are. The reason is kept. Errors: 42704, 42501, 22023.';

CREATE FUNCTION message_store.start(
  subscriber_id varchar,
  at_boot boolean DEFAULT false
) RETURNS varchar
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'start';

COMMENT ON FUNCTION message_store.start(varchar, boolean) IS
  'Runs the subscription''s init as its owner, forgets failed attempts, and lets orchestrators tick it; returns the state. at_boot: as an orchestrator that boots calls it, leaves alone what is paused or stopped. Errors: 42704 (no such subscription), 42501.';

CREATE FUNCTION message_store.started_subscriptions() RETURNS TABLE (subscriber_id varchar, source varchar, group_size bigint, batch_size bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'started_subscriptions';

COMMENT ON FUNCTION message_store.started_subscriptions() IS
  'Every started subscription that has handlers, of all owners: an orchestrator''s list.';

CREATE FUNCTION message_store.stop(
  subscriber_id varchar,
  reason varchar DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'stop';

COMMENT ON FUNCTION message_store.stop(varchar, varchar) IS
  'Waits for the running tick and stops the subscription until start(), as a failure does. Errors: 42704, 42501.';

CREATE FUNCTION message_store.subscription_lag(
  subscriber_id varchar,
  member bigint,
  OUT head bigint,
  OUT lag bigint,
  OUT lag_is_estimate boolean,
  OUT lag_seconds double precision
) RETURNS record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'subscription_lag';

COMMENT ON FUNCTION message_store.subscription_lag(varchar, bigint) IS
  'How far a member of a subscription is behind: head, the last settled global position of its source; lag, the messages of the source after its position (for a group: its share), exact to 10,000, beyond that an estimate; lag_seconds, the age of the first of them. Source: the view subscription_status.';

CREATE FUNCTION message_store.tick(
  subscriber_id varchar,
  batch_size bigint DEFAULT NULL,
  member bigint DEFAULT NULL
) RETURNS message_store.tick_result
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tick';

COMMENT ON FUNCTION message_store.tick(varchar, bigint, bigint) IS
  'One pass of a subscription: reads up to batch_size settled messages (default: its option batch_size, else 1000), hands each to the handler of its type with the owner''s rights, and stores the position. Effects and position commit together. Returns at once where another session ticks. A handler that fails is dealt with as the subscription''s policy says, and the result tells. Inside a transaction of the caller it sees the caller''s own messages, and stops before those of others that are in flight. member: of a consumer group; NULL for whichever is free and furthest behind. Errors: 42704, 22023, 25001, 55000.';

CREATE FUNCTION message_store.verify(subscriber_id varchar) RETURNS TABLE (read_model text, difference text, expected jsonb, found jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'verify';

COMMENT ON FUNCTION message_store.verify(varchar) IS
  'Replays all messages into scratch copies of the declared read-model tables, compares, and forgets them: a row for each row that differs from the live one. difference: missing, unexpected, different. Parked and discarded messages are left out. Errors: 42704, 42501, 55000 (no read model declared), and those of handlers.';

CREATE FUNCTION message_store.wait_for(
  subscriber_id varchar,
  global_position bigint,
  "timeout" interval DEFAULT '5 s'
) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'wait_for';

COMMENT ON FUNCTION message_store.wait_for(varchar, bigint, interval) IS
  'Waits until the subscription has handled every message of its source up to this global position: true; false after the timeout, or at once where the message is parked. Errors: 42704, 22023, 25001 (this transaction has written messages, or keeps one snapshot).';

CREATE FUNCTION message_store.write_messages(
  messages message_store.new_message[],
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages';

COMMENT ON FUNCTION message_store.write_messages(message_store.new_message[], varchar) IS
  'Writes messages to the ends of their streams, all or none, and returns a row for each, in order. Element 1 is messages[1] in errors. on_duplicate: error (23505), or ignore, which leaves a message alone whose id is in the log already, in the same stream and with the same type, before any version is checked: a retry after a lost reply returns what the first one wrote. Ids: given, or UUIDs of version 7; in a handler derived from subscriber, handled message and ordinal, so that nothing is written twice, and a handler of a single message adds causation and correlation to the metadata, see follow. Errors: as write_message, 22023. Streams are taken in the order of their names, so two batches do not deadlock.';

CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages varchar
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages_of_text';

COMMENT ON FUNCTION message_store.write_messages(varchar, varchar) IS
  'write_messages(stream_name, messages jsonb) of JSON text. Without it a call with two arguments of no type, write_messages(''account-1'', ''[{"type": "Opened"}]''), would be ambiguous (42725).';

CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages jsonb,
  expected_version bigint DEFAULT NULL,
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages_to';

COMMENT ON FUNCTION message_store.write_messages(varchar, jsonb, bigint, varchar) IS
  'Writes messages to the end of one stream, all or none, and returns a row for each, in order. messages: a JSON array of objects with type, and where wanted data, metadata and id; null is as good as absent; element 0 is messages[0] in errors. expected_version: the position of the stream''s last message before the batch, -1 for none. For the rest see write_messages(new_message[]).';

-- EXECUTE is the privilege to write and to steer subscriptions: not for everybody.
-- The parsing functions stay PUBLIC, since indexes and views of the store use them.
REVOKE EXECUTE ON FUNCTION
  message_store.ack(varchar, bigint, bigint),
  message_store.alter_subscription(varchar, jsonb, jsonb),
  message_store.cancel_rebuild(varchar),
  message_store.continue_from(varchar, varchar),
  message_store.count_views_per_video(message_store.message[]),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.discard_parked(varchar, varchar, bigint, varchar, varchar),
  message_store.drop_subscription(varchar),
  message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[]),
  message_store.ensure_home_page(),
  message_store.ensure_most_watched(),
  message_store.fetch(varchar, bigint, interval, bigint),
  message_store.follow(message_store.message, jsonb),
  message_store.increment_videos_watched(bigint),
  message_store.increment_videos_watched(bigint[]),
  message_store.park(varchar, bigint, text, bigint),
  message_store.pause(varchar, varchar),
  message_store.promote(varchar),
  message_store.rebuild(varchar, boolean),
  message_store.register_viewing(message_store.message),
  message_store.reset(varchar, bigint, varchar),
  message_store.resize_group(varchar, bigint),
  message_store.retry_parked(varchar, bigint, varchar, varchar),
  message_store.skip(varchar, bigint, varchar),
  message_store.start(varchar, boolean),
  message_store.started_subscriptions(),
  message_store.stop(varchar, varchar),
  message_store.subscription_lag(varchar, bigint),
  message_store.tick(varchar, bigint, bigint),
  message_store.verify(varchar),
  message_store.wait_for(varchar, bigint, interval),
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.write_messages(message_store.new_message[], varchar),
  message_store.write_messages(varchar, jsonb, bigint, varchar),
  message_store.write_messages(varchar, varchar)
FROM PUBLIC;

REVOKE EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  message_store.ack(varchar, bigint, bigint),
  message_store.alter_subscription(varchar, jsonb, jsonb),
  message_store.cancel_rebuild(varchar),
  message_store.continue_from(varchar, varchar),
  message_store.count_views_per_video(message_store.message[]),
  message_store.create_subscription(varchar, varchar, jsonb, jsonb),
  message_store.discard_parked(varchar, varchar, bigint, varchar, varchar),
  message_store.drop_subscription(varchar),
  message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[]),
  message_store.ensure_home_page(),
  message_store.ensure_most_watched(),
  message_store.fetch(varchar, bigint, interval, bigint),
  message_store.follow(message_store.message, jsonb),
  message_store.increment_videos_watched(bigint),
  message_store.increment_videos_watched(bigint[]),
  message_store.park(varchar, bigint, text, bigint),
  message_store.pause(varchar, varchar),
  message_store.promote(varchar),
  message_store.rebuild(varchar, boolean),
  message_store.register_viewing(message_store.message),
  message_store.reset(varchar, bigint, varchar),
  message_store.resize_group(varchar, bigint),
  message_store.retry_parked(varchar, bigint, varchar, varchar),
  message_store.skip(varchar, bigint, varchar),
  message_store.start(varchar, boolean),
  message_store.started_subscriptions(),
  message_store.stop(varchar, varchar),
  message_store.subscription_lag(varchar, bigint),
  message_store.tick(varchar, bigint, bigint),
  message_store.verify(varchar),
  message_store.wait_for(varchar, bigint, interval),
  message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint),
  message_store.write_messages(message_store.new_message[], varchar),
  message_store.write_messages(varchar, jsonb, bigint, varchar),
  message_store.write_messages(varchar, varchar)
TO message_store;

GRANT EXECUTE ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) TO message_store;

GRANT USAGE ON SCHEMA message_store TO message_store;

GRANT message_store TO message_store_admin;

-- A viewer looks through the views, the table of messages and the functions open to everybody; of
-- the others it needs the one that a view calls.
GRANT USAGE ON SCHEMA message_store TO message_store_viewer;

GRANT EXECUTE ON FUNCTION message_store.subscription_lag(varchar, bigint) TO message_store_viewer;
