CREATE FUNCTION message_store.announce_insert() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'announce_insert';

COMMENT ON FUNCTION message_store.announce_insert() IS
  'Trigger function. Tells readers of every category that the transaction is about to draw global positions. It is on messages for as long as calls of Message DB''s own functions may be running.';

CREATE FUNCTION message_store.is_message_dbs(definition text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT encode(sha256(convert_to(definition, 'UTF8')), 'hex') IN (
    SELECT known.sha256 FROM (VALUES
      ('090a8c7f134fa077e391d4c897480f2700431b5613cbc68e97d6e11e6fad8d46'),
      ('2cc049ae1ca3bc64d7190926344b8997f3fbcd3cc392d51c4d1e3b2560810666'),
      ('2cd140c16cfeb15398c2b0bc0b79995be85cea6dfbbd76365f832f318d5587d5'),
      ('e5143bab7020e3a0807e030d084cbff750b1ed17149ccb7ce2c493494d5251f3'),
      ('fe54f3f11ebdf44c6f6c2e1fa8278495908682d8fb9b7347a2ff0418adfc1afa'),
      ('2dd2f1fc99e6b2527b9f50e2e4f4290ea703d9139e02b32c8decbcb17ec57e9d'),
      ('6aea2efdb85e20f8aad23077dfa3af01ffb99da7dccee0429eeacc81ad3b6e52'),
      ('4d804b324a94fb5a32a616fe778b499a09c829c07bacbbead66464f9e2b596e9'),
      ('e9f80cec97974cb6a7cb485bd97710614530d97a7818f471be18a8f830ac1280'),
      ('374b8d575f54a4c899337259d35780cd92cc4d7a1c37d6fe670e45f9e0e4533c'),
      ('1a8b758d5f2a7ab5cf4887cc1910bd366bf9a5d407dceebfc7d3df10d141ceb5'),
      ('898421c475411acee5a916ba38ca0529bd54aca30187ad04d7cd2caf00aabf92'),
      ('2c0aba0ac8ce5e052e55508e34e8f0db5e199ed6d530427d151dea4df7ff2aed'),
      ('50fe601caea66d87034cce4f11a5770db82eac3f86a039950ab633958eef7161'),
      ('543418bd769b762b3078fbf13ebd7d1435a76eab2fd84362622d3e58fe294182'),
      ('c60db2b4324b3a7cfb32607a6aa6a7b855ca84e9f85407db252f26dd9437f53f'),
      ('27a8ecd147be39d8c5aa9aa96d06841ede5efc5bb4ab5110e2ecbfe37335b746'),
      ('6372a8fbd08a2340917c625a0b0ac92080999d886948917a2cecbba1159ff922')
    ) AS known (sha256))
$$;

COMMENT ON FUNCTION message_store.is_message_dbs(text) IS
  'Whether this is the definition of a function of Message DB 1.1.6, 1.2.3, 1.2.6 or 1.3.1, as pg_get_functiondef prints it. The adoption and its reversal ask: they take and give back nothing else.';

CREATE FUNCTION message_store.finish_adoption(timeout interval DEFAULT '00:00:10') RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  until timestamptz := clock_timestamp() + timeout;
  older text[];
  others integer[];
  writer text;
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgname = 'message_store_adoption' AND tgrelid = to_regclass('message_store.messages')
  ) THEN
    RETURN false;
  END IF;
  IF EXISTS (
    SELECT FROM pg_locks l
    WHERE l.pid = pg_backend_pid() AND l.relation = 'message_store.messages'::regclass
      AND l.mode = 'ShareRowExclusiveLock'
  ) THEN
    RAISE EXCEPTION 'the switch is part of this transaction' USING
      ERRCODE = 'active_sql_transaction',
      HINT = 'COMMIT; before it, nobody can see what is to be finished.';
  END IF;
  -- A call of the code before the switch is part of a transaction that runs already.
  SELECT array_agg(l.virtualtransaction) INTO older
  FROM pg_locks l
  WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid();
  LOOP
    SELECT array_agg(l.pid) INTO others
    FROM pg_locks l
    JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.virtualtransaction = ANY (older);
    IF others IS NULL THEN
      -- In short tries: who reads or writes waits no longer than one of them.
      BEGIN
        PERFORM set_config('lock_timeout', '50ms', true);
        LOCK TABLE message_store.messages IN ACCESS EXCLUSIVE MODE;
        EXIT;
      EXCEPTION WHEN lock_not_available THEN
        SELECT array_agg(DISTINCT l.pid) INTO others
        FROM pg_locks l
        WHERE l.relation = 'message_store.messages'::regclass AND l.granted AND l.pid <> pg_backend_pid();
      END;
    END IF;
    IF clock_timestamp() > until THEN
      RAISE EXCEPTION 'transactions are in the way that do not end' USING
        ERRCODE = 'object_in_use',
        DETAIL = format('Process ids: %s.', array_to_string(others, ', ')),
        HINT = 'Messages are written and read meanwhile. Call finish_adoption() again when they have ended, or end them: pg_terminate_backend().';
    END IF;
    PERFORM pg_sleep(0.01);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
  DROP TRIGGER message_store_adoption ON message_store.messages;
  IF to_regclass('message_store.message_db_before') IS NULL THEN
    RETURN true; -- it was a reversal
  END IF;
  FOR writer IN
    SELECT DISTINCT CASE WHEN a.grantee = 0::oid THEN 'PUBLIC' ELSE a.grantee::regrole::text END
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid IN ('message_store.messages'::regclass, 'message_store.messages_global_position_seq'::regclass)
      AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('REVOKE INSERT ON message_store.messages FROM %s', writer);
    EXECUTE format('REVOKE ALL ON SEQUENCE message_store.messages_global_position_seq FROM %s', writer);
  END LOOP;
  RETURN true;
END
$$;

COMMENT ON FUNCTION message_store.finish_adoption(interval) IS
  'Ends the adoption of a Message DB database, or its reversal, once the last transaction that is older has ended. Waits for them, and for the table, at most so long. Then takes the trigger and the right to INSERT away that only Message DB''s own functions needed. Returns false where there was nothing to finish. Errors: 42501, 25001 (the switch is part of the same transaction), 55006 (who is in the way does not end).';

CREATE FUNCTION message_store.revert_adoption() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found text;
  was record;
  privilege record;
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = to_regclass('message_store.message_db_before') AND c.relkind = 'r'
      AND (r.rolsuper OR r.rolname = current_user)
  ) THEN
    RAISE EXCEPTION 'this store was not a Message DB' USING
      ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Only a database that was adopted goes back.';
  END IF;
  IF EXISTS (
    SELECT FROM pg_trigger
    WHERE tgname = 'message_store_adoption' AND tgrelid = 'message_store.messages'::regclass
  ) THEN
    RAISE EXCEPTION 'an adoption or its reversal is not finished' USING
      ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'SELECT message_store.finish_adoption();';
  END IF;
  SELECT string_agg(s.subscriber_id, ', ' ORDER BY s.subscriber_id) INTO found
  FROM message_store.subscriptions s;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'Message DB cannot hold the subscriptions that are here' USING
      ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = found,
      HINT = 'drop_subscription() drops one; its read model stays.';
  END IF;
  -- What is in the table is executed and named below: it must be Message DB's own, all of it.
  IF (SELECT count(*) FROM message_store.message_db_before WHERE kind = 'FUNCTION') < 12 OR EXISTS (
    SELECT FROM message_store.message_db_before b
    WHERE CASE b.kind
      WHEN 'FUNCTION' THEN message_store.is_message_dbs(b.definition) IS NOT TRUE
        OR NOT starts_with(b.definition, concat('CREATE OR REPLACE FUNCTION ', split_part(b.name, '(', 1), '('))
        OR b.name <> ALL (ARRAY[
          'message_store.acquire_lock(character varying)',
          'message_store.cardinal_id(character varying)',
          'message_store.category(character varying)',
          'message_store.get_category_messages(character varying, bigint, bigint, character varying, bigint, bigint, character varying)',
          'message_store.get_last_stream_message(character varying)',
          'message_store.get_last_stream_message(character varying, character varying)',
          'message_store.get_stream_messages(character varying, bigint, bigint, character varying)',
          'message_store.hash_64(character varying)',
          'message_store.id(character varying)',
          'message_store.is_category(character varying)',
          'message_store.message_store_version()',
          'message_store.stream_version(character varying)',
          'message_store.write_message(character varying, character varying, character varying, jsonb, jsonb, bigint)'])
      WHEN 'TABLE' THEN b.name <> 'message_store.messages'
      WHEN 'SEQUENCE' THEN b.name <> 'message_store.messages_global_position_seq'
      WHEN 'VIEW' THEN b.name <> ALL (ARRAY['message_store.category_type_summary', 'message_store.stream_summary',
        'message_store.stream_type_summary', 'message_store.type_category_summary',
        'message_store.type_stream_summary', 'message_store.type_summary'])
      WHEN 'SCHEMA' THEN b.name <> 'message_store'
      WHEN 'TYPE' THEN b.name <> 'message_store.message'
      ELSE true END
      OR EXISTS (
        SELECT FROM jsonb_array_elements(b.privileges) p
        WHERE p ->> 'privilege' !~ '^[A-Z]+$')
  ) THEN
    RAISE EXCEPTION 'message_store.message_db_before does not hold what the adoption has written there' USING
      ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Restore it from a backup, or bring the messages over by orchestrator export and import.';
  END IF;

  -- What the extension does not take along when it is dropped.
  ALTER EXTENSION message_store DROP TYPE message_store.message;
  FOR was IN SELECT * FROM message_store.message_db_before WHERE kind = 'FUNCTION' LOOP
    EXECUTE was.definition;
    BEGIN
      EXECUTE format('ALTER EXTENSION message_store DROP FUNCTION %s', was.name);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      NULL; -- one of Message DB 1.2, which ours is no replacement of
    END;
  END LOOP;
  FOR was IN
    SELECT b.*, CASE b.kind WHEN 'VIEW' THEN 'TABLE' ELSE b.kind END AS granted_as,
      coalesce(p.proacl, c.relacl, n.nspacl) AS now
    FROM message_store.message_db_before b
    LEFT JOIN pg_proc p ON p.oid = CASE WHEN b.kind = 'FUNCTION' THEN to_regprocedure(b.name) END
    LEFT JOIN pg_class c ON c.oid = CASE WHEN b.kind IN ('TABLE', 'VIEW', 'SEQUENCE') THEN to_regclass(b.name) END
    LEFT JOIN pg_namespace n ON n.oid = CASE WHEN b.kind = 'SCHEMA' THEN to_regnamespace(b.name) END
    WHERE b.kind = 'TYPE' OR coalesce(p.oid, c.oid, n.oid) IS NOT NULL
  LOOP
    EXECUTE format('COMMENT ON %s %s IS %L', was.kind, was.name, was.comment);
    FOR privilege IN
      SELECT DISTINCT CASE WHEN a.grantee = 0::oid THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
      FROM aclexplode(was.now) a
    LOOP
      EXECUTE format('REVOKE ALL ON %s %s FROM %s', was.granted_as, was.name, privilege.grantee);
    END LOOP;
    FOR privilege IN
      SELECT coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee, p.value ->> 'privilege' AS name,
        (p.value -> 'grantable')::boolean AS is_grantable
      FROM jsonb_array_elements(was.privileges) WITH ORDINALITY p
      LEFT JOIN pg_roles r ON r.rolname = p.value ->> 'to'
      WHERE r.oid IS NOT NULL OR p.value ->> 'to' IS NULL
      ORDER BY p.ordinality
    LOOP
      EXECUTE format('GRANT %s ON %s %s TO %s%s', privilege.name, was.granted_as, was.name,
        privilege.grantee, CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
  END LOOP;
  DROP VIEW message_store.subscription_status, message_store.subscription_history, message_store.parked_messages;
  DROP TABLE message_store.parked, message_store.history, message_store.subscription_progress,
    message_store.subscriptions, message_store.read_model_pages, message_store.message_db_before;
  -- Until the extension is dropped, only Message DB's functions write.
  REVOKE EXECUTE ON FUNCTION message_store.write_messages(message_store.new_message[], varchar),
    message_store.write_messages(varchar, jsonb, bigint, varchar),
    message_store.write_messages(varchar, varchar)
  FROM PUBLIC, message_store;
  -- Where something of the user's needs what the extension will take along, it is said now.
  BEGIN
    DROP EXTENSION message_store;
    RAISE EXCEPTION USING ERRCODE = 'MSREV', MESSAGE = 'it can be dropped';
  EXCEPTION WHEN SQLSTATE 'MSREV' THEN
    NULL;
  END;

  -- Last, because it keeps writers out until the commit.
  PERFORM set_config('message_store_adoption.waits_from', clock_timestamp()::text, true);
  LOCK TABLE message_store.messages IN SHARE ROW EXCLUSIVE MODE;
  PERFORM set_config('message_store_adoption.holds_from', clock_timestamp()::text, true);
  CREATE TRIGGER message_store_adoption BEFORE INSERT ON message_store.messages
    FOR EACH STATEMENT EXECUTE FUNCTION message_store.announce_insert();
END
$$;

COMMENT ON FUNCTION message_store.revert_adoption() IS
  'Gives an adopted database back to Message DB, with its functions and grants as they were; the messages stay, the table read_model_pages does not. Call finish_adoption() then, and DROP EXTENSION message_store. Errors: 42501, 55000 (it was not adopted, the adoption is not finished, or there are subscriptions, which Message DB cannot hold), 2BP01 (something else needs what goes), 55P03 (lock_timeout).';

REVOKE EXECUTE ON FUNCTION message_store.announce_insert(), message_store.finish_adoption(interval),
  message_store.revert_adoption() FROM PUBLIC;

-- Comments in plain words: of what belongs to the extension, then of the tables and views of a store.
COMMENT ON FUNCTION message_store.ack(varchar, bigint, bigint) IS
  'Says that the application has handled the messages of its lease up to this global position. Parked messages that are retried come in batches of their own. lease: as fetch returned it; NULL means the last one that this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or belongs to somebody else).';
COMMENT ON FUNCTION message_store.acquire_lock(varchar) IS
  'Takes the advisory lock of the stream''s category until the transaction ends, and returns the lock''s key. Writers of this store do not take this lock. Message DB: acquire_lock.';
COMMENT ON FUNCTION message_store.alter_subscription(varchar, jsonb, jsonb) IS
  'Changes the handlers or the options of a subscription after the running tick has ended. New handlers replace all the old ones. Options are merged key by key; null removes a key. The position stays. Returns true when something changed. Errors: 42704, 42501, 22023, 42883.';
COMMENT ON FUNCTION message_store.cancel_rebuild(varchar) IS
  'Drops the copy that rebuild(subscriber_id, side_by_side => true) made. Returns false when there is no copy. Errors: 42704, 42501.';
COMMENT ON FUNCTION message_store.cardinal_id(varchar) IS
  'The id up to its first plus sign: 123 for account-123+456. NULL for a category. Consumer groups share out streams by it. Message DB: cardinal_id.';
COMMENT ON FUNCTION message_store.category(varchar) IS
  'The part of a stream name before its first dash: account for account-123. Without a dash, it is the whole name. Message DB: category.';
COMMENT ON FUNCTION message_store.continue_from(varchar, varchar) IS
  'Lets a subscription continue where another program stopped. Takes the position that the program saved last in position_stream, and returns it. The book saves in subscriberPosition-<subscriberId>, in messages Read. Eventide saves in <category>:position-<consumerId>, in messages Recorded. Errors: 42704, 42501, 22023 (no position there).';
COMMENT ON FUNCTION message_store.create_store() IS
  'Makes the tables, indexes and views of a message store where they are missing, and brings tables of an older version up to date. The caller owns them. Call it after CREATE EXTENSION. ALTER EXTENSION message_store UPDATE calls it where there is a store.';
COMMENT ON FUNCTION message_store.create_subscription(varchar, varchar, jsonb, jsonb) IS
  'Declares what a subscriber reads, and which functions handle its messages. The caller becomes the owner, and the handlers run with the owner''s rights. Nothing is started. source: a category, a stream, or $all. handlers: message type to function name; $any stands for all other types; {} means that an application fetches the messages. A handler takes (bigint), the global position, or (message_store.message), or an array of either for a run of consecutive messages. options: see docs/reference.md. A second call keeps the position and replaces handlers and options. Returns true when something changed. Errors: 22023, 42883 (no such function), 42501, 42710 (another source).';
COMMENT ON FUNCTION message_store.drop_subscription(varchar) IS
  'Deletes a subscription, its position and its parked messages after the running tick has ended. The read model stays. Returns false when there is no such subscription. Errors: 42501.';
COMMENT ON FUNCTION message_store.ensure_home_page() IS
  'Adds the row of the home page, {"lastViewProcessed": 0, "videosWatched": 0}, when it is missing.';
COMMENT ON FUNCTION message_store.fetch(varchar, bigint, interval, bigint) IS
  'Returns the next settled messages, at most n, of a subscription without handlers, and leases them to the caller. Until the lease ends, nobody else gets messages of the same member. Call ack() to say how far the messages are handled. When the lease runs out, the rest is fetched again. Delivery is at least once and in order. No rows means: nothing to do, the subscription is paused, or somebody else has the lease. Errors: 42704, 42501, 22023, 25001, 55000.';
COMMENT ON FUNCTION message_store.follow(message_store.message, jsonb) IS
  'Returns metadata for a message that is written because of another one. It holds the other one''s causationMessageStreamName, causationMessagePosition and causationMessageGlobalPosition, its correlationStreamName and replyStreamName and what the setting message_store.inherited_metadata names (traceId, userId, traceparent, tracestate), if it has them, and the given metadata. A key of the given metadata wins. In a handler of a single message, write_messages does this by itself.';
COMMENT ON FUNCTION message_store.get_all_messages(bigint, bigint) IS
  'Returns settled messages of all categories in order, from a global position on. batch_size: the most messages to return; -1 means all. Needs READ COMMITTED (25001).';
COMMENT ON FUNCTION message_store.get_category_messages(varchar, bigint, bigint, varchar, bigint, bigint, varchar) IS
  'Returns settled messages of a category in order, from a global position on. No message can still appear before a returned one. Waits for nobody. Needs READ COMMITTED (25001). The arguments are those of Message DB: get_category_messages.';
COMMENT ON FUNCTION message_store.get_last_stream_message(varchar, varchar) IS
  'Returns the last message of a stream, or its last message of a type. Message DB: get_last_stream_message.';
COMMENT ON FUNCTION message_store.get_stream_messages(varchar, bigint, bigint, varchar) IS
  'Returns messages of a stream in order, from a position on. batch_size: the most messages to return; -1 means all. condition: SQL over messages. It runs with the caller''s rights, and only if message_store.sql_condition is on. Message DB: get_stream_messages.';
COMMENT ON FUNCTION message_store.handler_context() IS
  'Tells the running handler about its call, see the type handler_call. NULL outside a handler.';
COMMENT ON FUNCTION message_store.hash_64(varchar) IS
  'The first eight bytes of the MD5 sum, as a signed number. Message DB: hash_64.';
COMMENT ON FUNCTION message_store.horizon_blockers(varchar) IS
  'Lists the open transactions that keep readers from messages of a category (NULL: of any category). pid: the process id of the session; NULL for a prepared transaction, which pg_prepared_xacts lists. holds_back_after: readers do not pass this global position.';
COMMENT ON FUNCTION message_store.id(varchar) IS
  'The part of a stream name after its first dash: 123 for account-123. NULL for a category. Message DB: id.';
COMMENT ON FUNCTION message_store.increment_videos_watched(bigint) IS
  'Counts the viewing at this global position on the home page, once. Returns true when it counted. A position at or below the last counted one changes nothing.';
COMMENT ON FUNCTION message_store.increment_videos_watched(bigint[]) IS
  'Counts the viewings at these global positions on the home page in one UPDATE. The result is the same as counting one after another. Returns true when at least one counted.';
COMMENT ON FUNCTION message_store.is_category(varchar) IS
  'Whether the name has no dash: true for account, false for account-123. True for NULL. Message DB: is_category.';
COMMENT ON FUNCTION message_store.message_store_version() IS
  'The version of Message DB whose interface this is: 1.3.0. The version of the extension itself is in pg_extension. Message DB: message_store_version.';
COMMENT ON FUNCTION message_store.park(varchar, bigint, text, bigint) IS
  'Parks a fetched message that the application cannot handle, as the policy park does with a failing handler. Later messages of its stream wait behind it. The messages before it count as handled. The lease ends, so fetch again. Errors: 42704, 42501, 22023, 55000 (the lease ran out).';
COMMENT ON FUNCTION message_store.pause(varchar, varchar) IS
  'Waits until the running tick has ended. Then nobody ticks the subscription until start(). Failed attempts are remembered. Errors: 42704, 42501.';
COMMENT ON FUNCTION message_store.rebuild(varchar, boolean) IS
  'Replays all messages. In place: empties the declared read model, runs init, and goes back to the start. side_by_side: a second subscription, <subscriber_id>#rebuild, fills copies of the declared tables beside the live ones until promote() is called. Errors: 42704, 42501, 55000 (no read model declared, or a rebuild is under way).';
COMMENT ON FUNCTION message_store.reset(varchar, bigint, varchar) IS
  'Moves a subscription back to a global position, which is then the last one that counts as handled. The read model stays as it is. The reason is kept. Errors: 42704, 42501, 22023.';
COMMENT ON FUNCTION message_store.resize_group(varchar, bigint) IS
  'Changes the number of members of a consumer group while it runs. First, the old members catch up with the one that is furthest ahead. Then the new members begin. Errors: 42704, 42501, 22023, 55000 (an earlier change has not ended).';
COMMENT ON FUNCTION message_store.skip(varchar, bigint, varchar) IS
  'Moves a subscription forward to a global position. Messages up to it count as handled, and no handler is called with them. The reason is kept. Errors: 42704, 42501, 22023.';
COMMENT ON FUNCTION message_store.start(varchar, boolean) IS
  'Runs the subscription''s init as its owner, forgets failed attempts, and lets orchestrators tick it. Returns the state. at_boot: leaves a paused or stopped subscription alone. Orchestrators use it when they boot. Errors: 42704 (no such subscription), 42501.';
COMMENT ON FUNCTION message_store.started_subscriptions() IS
  'Lists the started subscriptions that have handlers, whoever owns them. An orchestrator ticks these.';
COMMENT ON FUNCTION message_store.stop(varchar, varchar) IS
  'Waits until the running tick has ended. Then the subscription is stopped until start(), as after a failure. Errors: 42704, 42501.';
COMMENT ON FUNCTION message_store.stream_version(varchar) IS
  'The position of a stream''s last message. NULL for a stream without messages. Message DB: stream_version.';
COMMENT ON FUNCTION message_store.subscription_lag(varchar, bigint) IS
  'How far a member of a subscription is behind. head: the last settled global position of its source. lag: how many messages of the source come after its position, exact up to 10,000, and an estimate beyond. In a consumer group, only the member''s share counts. lag_seconds: the age of the first of these messages. The view subscription_status shows all of this.';
COMMENT ON FUNCTION message_store.tick(varchar, bigint, bigint) IS
  'Runs one pass of a subscription. Reads up to batch_size settled messages, calls the handler of each one''s type with the owner''s rights, and stores the position. Effects and position commit together. batch_size: NULL means the option batch_size, or else 1000. Returns at once when another session ticks. When a handler fails, the subscription''s policy decides what happens, and the result says it. Inside a transaction of the caller, a tick also reads the caller''s own messages, and stops before those of other open transactions. member: of a consumer group; NULL means the free one that is furthest behind. Errors: 42704, 22023, 25001, 55000.';
COMMENT ON FUNCTION message_store.wait_for(varchar, bigint, interval) IS
  'Waits until the subscription has handled every message of its source up to this global position, and returns true. Returns false after the timeout, or at once when the message is parked. Errors: 42704, 22023, 25001 (this transaction has written messages, or keeps one snapshot).';
COMMENT ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) IS
  'Waits in the server until a global position above the argument after has been drawn, but not longer than timeout. Returns the last position drawn. Holds no snapshot while it waits, so it must be a statement of its own (25001). A position is drawn before its message commits, so tick until the outcome is idle.';
COMMENT ON FUNCTION message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) IS
  'Appends a message to a stream and returns its position there. The first position is 0. id: a UUID, unique in the log (22P02, 23505). stream_name: at most 2,600 bytes; type: not empty (22023). expected_version: the position of the stream''s last message, or -1 if it has none; another one is refused (P0001, Wrong expected version). Waits for an open transaction that writes to the same stream. Message DB: write_message.';
COMMENT ON FUNCTION message_store.write_messages(message_store.new_message[], varchar) IS
  'Appends messages to their streams, all or none. Returns a row for each, in order. Errors call the first one messages[1]. on_duplicate: error (23505) or ignore. With ignore, a message is left alone if its id is in the log already, in the same stream and with the same type. This is checked before any version. So a retry after a lost reply returns what the first call wrote. id: as given, or a UUID of version 7. In a handler, the id is derived from the subscriber, the handled message and an ordinal, so that nothing is written twice. A handler of a single message also adds causation and correlation to the metadata, see follow. Errors: as write_message, 22023. Streams are taken in the order of their names, so two batches do not deadlock.';
COMMENT ON FUNCTION message_store.write_messages(varchar, varchar) IS
  'Is write_messages(stream_name, messages jsonb) for JSON text. Without it, a call with two arguments of no type, such as write_messages(''account-1'', ''[{"type": "Opened"}]''), would be ambiguous (42725).';
COMMENT ON FUNCTION message_store.write_messages(varchar, jsonb, bigint, varchar) IS
  'Appends messages to one stream, all or none. Returns a row for each, in order. messages: a JSON array of objects with a type and, if wanted, data, metadata and id. null is the same as absent. Errors call the first one messages[0]. expected_version: the position of the stream''s last message before the batch, or -1 if it has none. The rest is as in write_messages(new_message[]).';
COMMENT ON TYPE message_store.fetched_message IS
  'A message as fetch returns it: the columns of message, the lease for ack, and the attempt. The first attempt is 1; it is higher when a parked message is retried.';
COMMENT ON TYPE message_store.handler_call IS
  'What a handler can learn about its call. global_position: the message, or the last one of a run. attempt: from 1. is_replay: the message was handled before, so nothing is written to streams. is_retry: the message was parked, so later ones were handled already. read_model: the schema of the tables to write to; NULL means the live read model.';
COMMENT ON TYPE message_store.message IS
  'A message as readers get it. data and metadata are JSON text. Message DB: message.';
COMMENT ON TYPE message_store.new_message IS
  'A message to write with write_messages. stream_name and type are required. id: a UUID; one is made if it is NULL. expected_version: the version that its stream must have when it is written. Messages before it in the batch count.';
COMMENT ON TYPE message_store.tick_result IS
  'What a tick did. outcome: progressed; idle (everything drawn before is settled and processed); held_back (open transactions keep messages back, so tick again in a few ms); busy (another session ticks); retrying (a handler failed and is called again at retry_at); stopped (a handler failed for good, or somebody stopped the subscription); paused. scanned: messages read. handled: messages given to a handler. position: the last one scanned. parked: messages parked. sqlstate, error: of the failure. error_details: its other parts, if it has them: detail, hint, context, schema, table, column, datatype, constraint.';
COMMENT ON TYPE message_store.written_message IS
  'Where write_messages put a message. is_duplicate: a message with this id was there before, and this is its place. In a replay nothing is written: all columns except id and stream_name are NULL.';

DO $$
DECLARE
  comment record;
BEGIN
  -- A store that 0.1 made lacks some of these; create_store() brings them, with their comments.
  FOR comment IN
    SELECT c.relkind, c.relname, a.attname, new.description
    FROM (VALUES
      ('parked_messages', NULL,
        'Parked messages of one''s own subscriptions; message_store_admin and message_store_viewer see those of all. A failed message has its last error. Messages of the same stream wait behind it. can_retry, can_discard: whether retry_parked and discard_parked take it.'),
      ('subscription_history', NULL,
        'What people and failures did to one''s own subscriptions, with the reason. message_store_admin and message_store_viewer see all subscriptions.'),
      ('subscription_status', NULL,
        'How far each of one''s own subscriptions has come, one row for each member. message_store_admin and message_store_viewer see all subscriptions. head: the last settled message of the source. lag: how many messages of the source come after position, exact up to 10,000, and an estimate beyond if lag_is_estimate. lag_seconds: the age of the first of these messages. rate: messages scanned a second. holder: the process id of the session that ticks it now, and ticking_since: since when. replay_target, replay_eta_seconds: only while a rebuild is under way.'),
      ('subscriptions', 'handlers',
        'Message type to function, with schema and signature. $any stands for all other types. Empty if an application fetches the messages.'),
      ('subscriptions', 'options',
        'The options that create_subscription was given.'),
      ('subscriptions', 'search_path',
        'The search_path that its handlers run with. It is the option search_path, or else the one of the session that created the subscription.'),
      ('subscriptions', 'state',
        'created: orchestrators leave it alone; started: orchestrators tick it; paused, stopped: nobody ticks it.'),
      ('subscriptions', 'state_reason',
        'Why it is in this state, if a person or a failure gave a reason.'),
      ('subscriptions', 'state_changed_at',
        'When it entered this state.'),
      ('subscriptions', 'start_position',
        'It began after this global position. A rebuild begins there too.'),
      ('subscriptions', 'replay_mark',
        'Messages up to this global position were handled before. Their handlers are told that it is a replay, and write no messages.'),
      ('subscriptions', 'replay_layers',
        'How far each member had come when a group was set back while its members stood at different positions. A message after replay_mark was handled before if its member had come that far.'),
      ('subscriptions', 'copy_of',
        'The subscription whose read model this one fills again, beside the live one.'),
      ('subscription_progress', NULL,
        'How far each member of each subscription has come. Every tick that found something updates it. So its rows are narrow, its pages have free room, and its key is its only index.'),
      ('subscription_progress', 'member',
        'The consumer group member, from 0. In a group that was resized, -1, -2, ... are the old members 0, 1, ... until they are done.'),
      ('subscription_progress', 'position',
        'The last global position scanned. It commits together with the effects of its messages.'),
      ('subscription_progress', 'drains_until',
        'Where a member of a resized group ends. The new members begin after it, when all old ones are done.'),
      ('subscription_progress', 'rate',
        'Messages scanned a second, over the last ten seconds or more in which there was work.'),
      ('subscription_progress', 'rate_from',
        'Messages scanned since rate_since.'),
      ('subscription_progress', 'failing_since',
        'When its handler first failed.'),
      ('subscription_progress', 'retry_at',
        'When the handler is called again. Earlier ticks do nothing.'),
      ('subscription_progress', 'last_error',
        'Message of the last error.'),
      ('subscription_progress', 'last_error_at',
        'When the last error happened.'),
      ('parked', NULL,
        'Messages that a subscription has parked because their handler failed, and those of the same stream that wait behind them.'),
      ('parked', 'status',
        'failed; waiting (behind a failed one of its stream); retry (the next ticks handle it, or it waits for one of its stream that they handle); replaying (a rebuild will come to it); discarded (never handled, not even by a rebuild).'),
      ('parked', 'error',
        'Message of the last error.'),
      ('parked', 'parked_at',
        'When it was parked.'),
      ('parked', 'retry_at',
        'When its handler is called again, if its status is retry and it has attempts left.'),
      ('history', NULL,
        'What people and failures did to subscriptions. The entries of a dropped subscription stay.'),
      ('history', 'owner',
        'Who owned the subscription.'),
      ('history', 'at',
        'When it was done.'),
      ('history', 'role',
        'The database role that did it.'),
      ('history', 'action',
        'What was done: create, alter, reassign, start, pause, stop, fail, reset, skip, resize, rebuild, promote, retry, discard, continue, drop.'),
      ('history', 'position',
        'The global position that it was about.'),
      ('history', 'reason',
        'Why it was done.'),
      ('history', 'actor',
        'The person that the role acted for, if the application named one in the setting message_store.actor.'),
      ('messages', NULL,
        'The log: every message once, in the stream it was written to. Only write_message and write_messages write to it.'),
      ('messages', 'global_position',
        'The place in the whole log, from 1. Positions rise, with gaps where writers rolled back.'),
      ('messages', 'position',
        'The place in the stream: 0, 1, 2, ... without gaps.'),
      ('messages', 'time',
        'The UTC time of the transaction that wrote it.'),
      ('messages', 'stream_name',
        'category-id. The part before the first dash is the category.'),
      ('messages', 'type',
        'What happened. It chooses the handler.')
    ) AS new (relation, attribute, description)
    JOIN pg_catalog.pg_class c
      ON c.oid OPERATOR(pg_catalog.=)
        pg_catalog.to_regclass(pg_catalog.concat('message_store.', new.relation))
    LEFT JOIN pg_catalog.pg_attribute a
      ON a.attrelid OPERATOR(pg_catalog.=) c.oid
      AND a.attname OPERATOR(pg_catalog.=) new.attribute::pg_catalog.name
      AND a.attnum OPERATOR(pg_catalog.>) 0
    WHERE (a.attname IS NOT NULL OR new.attribute IS NULL)
      AND c.relkind OPERATOR(pg_catalog.=)
        CASE WHEN new.relation OPERATOR(pg_catalog.=) ANY (ARRAY['parked_messages', 'subscription_history', 'subscription_status'])
          THEN 'v'::pg_catalog."char" ELSE 'r'::pg_catalog."char" END
  LOOP
    IF comment.attname IS NOT NULL THEN
      EXECUTE pg_catalog.format('COMMENT ON COLUMN message_store.%I.%I IS %L',
        comment.relname, comment.attname, comment.description);
    ELSIF comment.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" THEN
      EXECUTE pg_catalog.format('COMMENT ON VIEW message_store.%I IS %L',
        comment.relname, comment.description);
    ELSE
      EXECUTE pg_catalog.format('COMMENT ON TABLE message_store.%I IS %L',
        comment.relname, comment.description);
    END IF;
  END LOOP;
END
$$;

-- 0.3.0 closes doors. Most of it is in the library; here: no name of ours is found in pg_temp.
ALTER FUNCTION message_store.count_views_per_video(message_store.message[])
  SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION message_store.ensure_most_watched() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION message_store.register_viewing(message_store.message)
  SET search_path = pg_catalog, pg_temp;

CREATE FUNCTION message_store.renew(
  subscriber_id varchar,
  duration interval,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'renew';

COMMENT ON FUNCTION message_store.renew(varchar, interval, bigint) IS
  'Lets the lease last this long from now. An application calls it while a message takes longer than it said to fetch. lease: as fetch returned it; NULL means the last one that this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or belongs to somebody else).';

REVOKE EXECUTE ON FUNCTION message_store.renew(varchar, interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.renew(varchar, interval, bigint) TO message_store;

DROP FUNCTION message_store.promote(varchar);

CREATE FUNCTION message_store.promote(
  subscriber_id varchar,
  may_empty boolean DEFAULT false,
  dry boolean DEFAULT false
) RETURNS TABLE (read_model text, added bigint, removed bigint, changed bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'promote_of_0_3';

COMMENT ON FUNCTION message_store.promote(varchar, boolean, boolean) IS
  'Replaces the live read model by the copy that rebuild(subscriber_id, side_by_side => true) has filled, in this transaction. First, the copy catches up to the live position. Returns a row for each table: how many rows come, go and change. may_empty: also replaces the rows of a table by none. dry: only says what would change. Errors: 42704, 42501, 0A000, 55000 (no copy, too far behind, a copy without rows, or a table that was altered since).';

REVOKE EXECUTE ON FUNCTION message_store.promote(varchar, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.promote(varchar, boolean, boolean) TO message_store;

DROP FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar);

CREATE FUNCTION message_store.retry_parked(
  subscriber_id varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL,
  global_positions bigint[] DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'retry_parked_of_0_3';

COMMENT ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]) IS
  'Lets the next ticks handle failed parked messages again. Takes all of them, or those with this position, stream or SQLSTATE, or at these positions. The messages that wait behind them follow. Returns how many will be retried. Errors: 42704, 42501.';

REVOKE EXECUTE ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.retry_parked(varchar, bigint, varchar, varchar, bigint[]) TO message_store;

DROP FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar);

CREATE FUNCTION message_store.discard_parked(
  subscriber_id varchar,
  reason varchar,
  global_position bigint DEFAULT NULL,
  stream_name varchar DEFAULT NULL,
  sqlstate varchar DEFAULT NULL,
  global_positions bigint[] DEFAULT NULL
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'discard_parked_of_0_3';

COMMENT ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]) IS
  'Gives up parked messages that failed: no tick and no rebuild handles them. Takes all of them, or those with this position, stream or SQLSTATE, or at these positions. The next ticks handle the messages that wait behind them. Returns how many were discarded. The reason is kept. Errors: 42704, 42501, 22023, 55000 (a copy that is being filled beside the live read model has handled one of them).';

REVOKE EXECUTE ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.discard_parked(varchar, varchar, bigint, varchar, varchar, bigint[]) TO message_store;

DROP FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[]);

CREATE FUNCTION message_store.dry_run(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  n bigint DEFAULT 100,
  parked boolean DEFAULT false,
  global_positions bigint[] DEFAULT NULL,
  past_failures boolean DEFAULT false
) RETURNS TABLE (read_model text, difference text, before jsonb, after jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'dry_run_of_0_3';

COMMENT ON FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[], boolean) IS
  'Shows what handlers would change, and changes nothing. Calls them with the next n messages, returns the rows of the declared read-model tables that they would change, and rolls everything back. handlers: NULL means the subscription''s own. parked: takes the first n parked messages instead. global_positions: takes only these parked messages. past_failures: goes on where a handler fails, and returns rows without a read_model too, whose after tells more: failed (a message that fails, with its error), waiting (a message that waits behind one of its stream), handled (how many messages succeed). difference: added, removed, changed. Errors: 42704, 42501, 22023, 42883, 55000 (no read model declared), and, without past_failures, those of the handlers.';

REVOKE EXECUTE ON FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[], boolean) TO message_store;

DROP FUNCTION message_store.verify(varchar);

CREATE FUNCTION message_store.verify(
  subscriber_id varchar,
  all_columns boolean DEFAULT false
) RETURNS TABLE (read_model text, difference text, expected jsonb, found jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'verify_of_0_3';

COMMENT ON FUNCTION message_store.verify(varchar, boolean) IS
  'Checks a read model against the log. Replays all messages into scratch copies of the declared tables, compares, and drops the copies. Returns a row for each row that differs from the live one. difference: missing, unexpected, different. Parked and discarded messages are left out. all_columns: also compares columns that the database fills by itself, such as identities, serials and now(). Errors: 42704, 42501, 55000 (no read model declared), and those of the handlers.';

REVOKE EXECUTE ON FUNCTION message_store.verify(varchar, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.verify(varchar, boolean) TO message_store;

CREATE FUNCTION message_store.reassign(
  subscriber_id varchar,
  owner varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'reassign';

COMMENT ON FUNCTION message_store.reassign(varchar, varchar) IS
  'Gives a subscription another owner, with whose rights its handlers run from the next tick on. The position stays. owner: a role that the caller is a member of, and that may call the handlers. The caller has the rights of the present owner as well, or that role was dropped and the caller is a member of message_store_admin. Errors: 42704, 42501, 22023, 42883, 55000 (a rebuild side by side is under way).';

REVOKE EXECUTE ON FUNCTION message_store.reassign(varchar, varchar) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.reassign(varchar, varchar) TO message_store;

-- follow() heeds a setting now.
ALTER FUNCTION message_store.follow(message_store.message, jsonb) STABLE;

-- An error is kept with its parts; create_store() brings the columns of the tables and views.
ALTER TYPE message_store.tick_result ADD ATTRIBUTE error_details jsonb;

-- A session that has loaded an earlier library keeps it, and that would answer with a row of the
-- earlier type. It has no such symbol, so it is an error there.
CREATE OR REPLACE FUNCTION message_store.tick(
  subscriber_id varchar,
  batch_size bigint DEFAULT NULL,
  member bigint DEFAULT NULL
) RETURNS message_store.tick_result
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tick_of_0_3';

CREATE OR REPLACE FUNCTION message_store.start(
  subscriber_id varchar,
  at_boot boolean DEFAULT false
) RETURNS varchar
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'start_of_0_3';

-- Of a tick it is told since when it runs; create_store() brings the column of subscription_status.
CREATE FUNCTION message_store.ticking_since(process integer) RETURNS timestamptz
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT a.xact_start
  FROM pg_catalog.pg_stat_activity a
  WHERE a.pid OPERATOR(pg_catalog.=) process
    AND EXISTS (
      SELECT FROM pg_catalog.pg_locks l
      WHERE l.pid OPERATOR(pg_catalog.=) process AND l.locktype OPERATOR(pg_catalog.=) 'advisory'
        AND l.objsubid OPERATOR(pg_catalog.=) 19540 AND l.granted)
$$;

COMMENT ON FUNCTION message_store.ticking_since(integer) IS
  'The beginning of the transaction in which a session ticks a subscription, by its process id (holder in subscription_status). NULL if that session ticks none.';

REVOKE EXECUTE ON FUNCTION message_store.ticking_since(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.ticking_since(integer)
  TO message_store, message_store_viewer;

-- The demo brings its own SQL now (home_page/home_page.sql in the sources). A store that uses what
-- the extension had of it keeps that, as its own; from every other it goes.
ALTER EXTENSION message_store DROP FUNCTION
  message_store.count_views_per_video(message_store.message[]);
ALTER EXTENSION message_store DROP FUNCTION message_store.ensure_most_watched();
ALTER EXTENSION message_store DROP FUNCTION
  message_store.register_viewing(message_store.message);

DO $$
DECLARE
  is_used boolean;
BEGIN
  -- Tables only: a view that somebody put there would run its functions with our rights.
  IF EXISTS (
    SELECT FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('message_store.video_views')
      AND c.relkind OPERATOR(pg_catalog.=) 'r')
  THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM message_store.video_views)' INTO is_used;
  END IF;
  IF is_used IS NOT TRUE AND EXISTS (
    SELECT FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('message_store.subscriptions')
      AND c.relkind OPERATOR(pg_catalog.=) 'r')
  THEN
    EXECUTE $sql$
      SELECT EXISTS (
        SELECT FROM message_store.subscriptions s
        WHERE pg_catalog.concat(s.handlers, s.options) OPERATOR(pg_catalog.~)
          'count_views_per_video|ensure_most_watched|register_viewing|video_views')
    $sql$ INTO is_used;
  END IF;
  IF is_used IS NOT TRUE THEN
    DROP FUNCTION message_store.count_views_per_video(message_store.message[]),
      message_store.ensure_most_watched(), message_store.register_viewing(message_store.message);
    DROP TABLE IF EXISTS message_store.video_views;
  END IF;
EXCEPTION
  -- Something of the user's stands on it: it is used.
  WHEN dependent_objects_still_exist THEN NULL;
END
$$;

-- A store that is there is brought up to date as well, as its owner, so that nobody has to call
-- create_store() before subscriptions go on. What a script of an extension makes or grants counts as
-- the extension's. So the relations join it for as long as that takes, and leave it again: the tables
-- are the user's. Where this is but a step on the way to a later version, the last step does it.
DO $$
DECLARE
  who name := pg_catalog.current_setting('role');
  store_owner name := (
    SELECT pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('message_store.messages')
      AND c.relkind OPERATOR(pg_catalog.=) 'r');
  membership CONSTANT text := $sql$
    SELECT pg_catalog.format('ALTER EXTENSION message_store %s %s message_store.%I',
      CASE WHEN is_member THEN 'DROP' ELSE 'ADD' END,
      CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE 'SEQUENCE' END, c.relname)
    FROM pg_catalog.pg_class c, LATERAL (
      SELECT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')
    ) AS member (is_member)
    WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,v,S}'::pg_catalog."char"[])
      AND is_member OPERATOR(pg_catalog.=) $1
  $sql$;
  statement text;
BEGIN
  IF store_owner IS NULL OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_available_extensions e
    WHERE e.name OPERATOR(pg_catalog.=) 'message_store'
      AND e.default_version OPERATOR(pg_catalog.=) '0.3.0')
  THEN
    RETURN;
  END IF;
  -- In the order in which queries and ticks lock them, so that none of them and we wait for each
  -- other: first the views, by an alteration that changes nothing, then what a tick opens first.
  FOR statement IN
    SELECT CASE c.relkind
      WHEN 'v' THEN pg_catalog.format('ALTER VIEW message_store.%I OWNER TO %I',
        c.relname, pg_catalog.pg_get_userbyid(c.relowner))
      ELSE 'LOCK TABLE message_store.subscriptions IN ACCESS EXCLUSIVE MODE' END
    FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY[
        pg_catalog.to_regclass('message_store.parked_messages'),
        pg_catalog.to_regclass('message_store.subscription_status'),
        pg_catalog.to_regclass('message_store.subscriptions')]::pg_catalog.oid[])
      AND (c.relkind OPERATOR(pg_catalog.=) 'v'
        OR c.relname OPERATOR(pg_catalog.=) 'subscriptions')
    ORDER BY c.relkind DESC, c.relname
  LOOP
    EXECUTE statement;
  END LOOP;
  FOR statement IN EXECUTE membership USING false LOOP
    EXECUTE statement;
  END LOOP;
  EXECUTE pg_catalog.format('SET LOCAL ROLE %I', store_owner);
  PERFORM message_store.create_store();
  EXECUTE pg_catalog.format('SET LOCAL ROLE %I', who);
  FOR statement IN EXECUTE membership USING true LOOP
    EXECUTE statement;
  END LOOP;
END
$$;
