-- Messages can be deleted, and what they say erased; standbys answer who reads a category.
CREATE FUNCTION message_store.apply_retention(
  max_messages bigint DEFAULT 10000
) RETURNS TABLE (category varchar, deleted bigint, held_back_by varchar)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'apply_retention';

COMMENT ON FUNCTION message_store.apply_retention(bigint) IS
  'Deletes what is older than retain() says, at most max_messages of each category; call it again while one has as many. What a subscription has still to handle or has parked stays; held_back_by names one that is in the way, or the error of a table or trigger that is. No rows while another session applies it. Errors: 22023, 25001.';

CREATE FUNCTION message_store.begin_epoch(
  reason varchar,
  above bigint DEFAULT NULL
) RETURNS uuid
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'begin_epoch';

COMMENT ON FUNCTION message_store.begin_epoch(varchar, bigint) IS
  'Begins an epoch by hand, after a restore that the server does not know of (a snapshot of its disk). New messages get global positions above the argument, which must be above all that were ever drawn; by default as far above those drawn here as can have been drawn since the newest message, and a million at least. Errors: 22023, 42501.';

CREATE FUNCTION message_store.check_position(epoch uuid, "position" bigint) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'check_position';

COMMENT ON FUNCTION message_store.check_position(uuid, bigint) IS
  'Returns a global position that was kept outside of the database, if what lies before it is in this log for certain. Else an error (55000) that says from where to begin again. Errors: 22023, 55000.';

CREATE FUNCTION message_store.confirm_epoch(
  epoch uuid,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'confirm_epoch';

COMMENT ON FUNCTION message_store.confirm_epoch(uuid, varchar) IS
  'Confirms that nothing was lost when an epoch began, as with synchronous replication: positions of the epochs before stay good. Errors: 22023 (there is no such epoch), 42501.';

CREATE FUNCTION message_store.delete_category_before(
  category varchar,
  reason varchar,
  before_position bigint DEFAULT NULL,
  before_time timestamptz DEFAULT NULL,
  may_skip boolean DEFAULT false,
  max_messages bigint DEFAULT 10000
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'delete_category_before';

COMMENT ON FUNCTION message_store.delete_category_before(varchar, varchar, bigint, timestamptz, boolean, bigint) IS
  'Deletes the messages of a category for good, oldest first, up to the first that is not before a global position, or not before a time, at most max_messages in a call. Returns how many; call it again while that is max_messages. Versions of streams go on where they were. Refuses (55000) what a subscription has still to handle or has parked, unless may_skip. Errors: 22023, 42501, 25001, 55000.';

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

CREATE FUNCTION message_store.deleted_up_to(source varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'deleted_up_to';

COMMENT ON FUNCTION message_store.deleted_up_to(varchar) IS
  'The highest global position that was deleted of what a category, a stream or $all held; 0 where nothing was. A read model that begins before it cannot be made anew without a baseline.';

CREATE FUNCTION message_store.epoch() RETURNS uuid
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'epoch';

COMMENT ON FUNCTION message_store.epoch() IS
  'The epoch of the log, to be kept with every position that is kept outside of the database. Begins a new one where the server was promoted or restored since. On a standby: the newest that has come to it. Errors: 25006.';

CREATE FUNCTION message_store.erase_message_data(
  reason varchar,
  stream_name varchar DEFAULT NULL,
  id varchar DEFAULT NULL,
  metadata_path jsonpath DEFAULT NULL,
  variables jsonb DEFAULT '{}',
  category varchar DEFAULT NULL
) RETURNS TABLE (erasure bigint, erased bigint, erased_before bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'erase_message_data';

COMMENT ON FUNCTION message_store.erase_message_data(varchar, varchar, varchar, jsonpath, jsonb, varchar) IS
  'Erases data and metadata of the messages of a stream, of one message by id, or of those whose metadata have what a path finds, in one category or in all. Their places, types and ids stay; data become {} and metadata {"erased": true}. Errors that were kept of them go, a lease on them ends, and a copy that is being filled begins again. Returns the number for erasure_remains(), how many lost their data, and how many had lost them before. Errors: 22023, 22P02, 42501, P0002 (no message is meant).';

CREATE FUNCTION message_store.erasure_remains(erasure bigint)
RETURNS TABLE (place varchar, finding varchar, repair varchar)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'erasure_remains';

COMMENT ON FUNCTION message_store.erasure_remains(bigint) IS
  'Lists what may still hold the data of an erasure, as far as this server can know, and how to be rid of it: dead rows until VACUUM, the write-ahead log and its archive, slots, standbys, backups, read models. Errors: 22023, 42501.';

CREATE FUNCTION message_store.horizon(
  category varchar DEFAULT NULL,
  OUT "position" bigint,
  OUT proven_at timestamptz
)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'horizon';

COMMENT ON FUNCTION message_store.horizon(varchar) IS
  'How far readers of a category (NULL: of all messages) may go: no message of it is still to come at or below the global position. proven_at: when that was proven; now, but on a standby, which reads as far as what the primary wrote down and the standby has replayed. Errors: 25001, 55000 (on a standby that nothing has come to).';

CREATE FUNCTION message_store.advance_position(target bigint) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'advance_position';

COMMENT ON FUNCTION message_store.advance_position(bigint) IS
  'Leaves out global positions up to a target, unless they were drawn, so that what is written next lies behind it; returns the last position that was drawn or left out. Waits for nobody. 0 only asks. Errors: 22023, 25006.';

CREATE FUNCTION message_store.become_shard(
  number bigint,
  shards bigint,
  map bigint,
  addresses text[] DEFAULT NULL,
  above bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'become_shard';

COMMENT ON FUNCTION message_store.become_shard(bigint, bigint, bigint, text[], bigint) IS
  'Makes this store a shard: number, of so many, as the map of this version has it. Its global positions then come in steps of 1,024, above the argument and all that were drawn. A shard of n may become one of a multiple of n that keeps a share of its streams. Waits for writers to end, and keeps them waiting until its transaction ends: in a transaction of its own, with lock_timeout. Errors: 22023, 25001, 25006, 42501, 55000 (a group is being resized), 55P03.';

CREATE FUNCTION message_store.delete_moved_messages(
  number bigint,
  shards bigint,
  after bigint DEFAULT 0,
  max_messages bigint DEFAULT 5000
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'delete_moved_messages';

COMMENT ON FUNCTION message_store.delete_moved_messages(bigint, bigint, bigint, bigint) IS
  'Deletes messages that lie here and live on another shard, since this one became two, and is number of so many, and forgets what is parked of them: of the next ones after a global position, as many as are said. Returns the global position of the last that was looked at, to go on from; NULL at the end. Errors: 22023, 25006, 42501, 55000 (this is no shard).';

CREATE FUNCTION message_store.get_settled_messages(
  category varchar,
  "position" bigint,
  batch_size bigint,
  correlation varchar,
  consumer_group_member bigint,
  consumer_group_size bigint,
  at_least bigint,
  map bigint
) RETURNS SETOF message_store.message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'get_settled_messages';

COMMENT ON FUNCTION message_store.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint) IS
  'What a reader of several shards asks each: messages of a category, or with NULL of all, and behind them a row that has only a global position: up to there these are all, and settled. What is drawn here afterwards lies behind at_least, the last position that any shard has drawn. Errors: as get_category_messages; 25006; 40001 where the map has another version; 55000 where this is no shard.';

CREATE FUNCTION message_store.require_map(map bigint) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'require_map';

COMMENT ON FUNCTION message_store.require_map(bigint) IS
  'For a router: an error where the map of shards has another version, and until the end of the transaction it does not get one. Errors: 25006, 40001 (another version), 55000 (no shard).';

CREATE FUNCTION message_store.shard_of(stream_name varchar, shards bigint) RETURNS bigint
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'shard_of';

COMMENT ON FUNCTION message_store.shard_of(varchar, bigint) IS
  'The number of the shard, of so many, that a stream lives on: the hash of its cardinal id, without its sign, divided by them; 0 for a name without an id. Consumer groups of Message DB divide in the same way. Errors: 22023.';

CREATE FUNCTION message_store.record_horizons() RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'record_horizons';

COMMENT ON FUNCTION message_store.record_horizons() IS
  'Writes down how far messages are settled, for readers on standbys, which cannot prove it: at most ten times a second, nothing where nothing has changed. True where all that was drawn is settled and written down; false: call it again in a while. Orchestrators do. Errors: 25001, 25006.';

CREATE FUNCTION message_store.retain(
  category varchar,
  keep interval,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'retain';

COMMENT ON FUNCTION message_store.retain(varchar, interval, varchar) IS
  'Declares how long messages of a category are kept; NULL: for ever. Deletes nothing itself: apply_retention() does, which orchestrators call. Errors: 22023, 42501.';

CREATE FUNCTION message_store.wipe_free_room() RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'wipe_free_room';

COMMENT ON FUNCTION message_store.wipe_free_room() IS
  'Writes zeros over the free room of the pages of messages and of the tables of subscriptions, with their indexes, where VACUUM leaves the bytes of rows that it took away. Returns in how many pages there were any. To be called after an erasure and a VACUUM. Locks one page at a time. Errors: 42501.';

CREATE OR REPLACE FUNCTION message_store.revert_adoption() RETURNS void
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
  SELECT string_agg(t.name, ', ' ORDER BY t.name) INTO found
  FROM (SELECT 'deletions' AS name FROM message_store.deletions
        UNION SELECT 'erasures' FROM message_store.erasures
        UNION SELECT 'retention' FROM message_store.retention
        UNION SELECT 'tombstones' FROM message_store.tombstones) t;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'Message DB cannot hold what is known of deleted messages' USING
      ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = format('Tables with rows: %s.', found),
      HINT = 'Keep them elsewhere (pg_dump), then DELETE what they have. Without tombstones, streams without messages begin at 0 again.';
  END IF;
  IF EXISTS (SELECT FROM message_store.shard) THEN
    RAISE EXCEPTION 'Message DB cannot be one of several shards' USING
      ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Only a store that never became a shard goes back.';
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
  DROP VIEW message_store.shard_status, message_store.subscription_status, message_store.subscription_history, message_store.parked_messages;
  DROP TABLE message_store.parked, message_store.history, message_store.subscription_progress,
    message_store.subscriptions, message_store.read_model_pages, message_store.deletions,
    message_store.tombstones, message_store.retention, message_store.erasures, message_store.horizons,
    message_store.epochs, message_store.shard, message_store.shard_progress, message_store.message_db_before;
  DROP SEQUENCE message_store.server_seq;
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
  'Gives an adopted database back to Message DB, with its functions and grants as they were; the messages stay, the table read_model_pages does not. Call finish_adoption() then, and DROP EXTENSION message_store. Errors: 42501, 55000 (it was not adopted, the adoption is not finished, or there are subscriptions, or records of deleted messages, which Message DB cannot hold), 2BP01 (something else needs what goes), 55P03 (lock_timeout).';

REVOKE EXECUTE ON FUNCTION
  message_store.advance_position(bigint),
  message_store.apply_retention(bigint),
  message_store.become_shard(bigint, bigint, bigint, text[], bigint),
  message_store.begin_epoch(varchar, bigint),
  message_store.check_position(uuid, bigint),
  message_store.confirm_epoch(uuid, varchar),
  message_store.delete_category_before(varchar, varchar, bigint, timestamptz, boolean, bigint),
  message_store.delete_moved_messages(bigint, bigint, bigint, bigint),
  message_store.delete_stream(varchar, varchar, bigint, boolean, boolean, bigint),
  message_store.deleted_up_to(varchar),
  message_store.epoch(),
  message_store.erase_message_data(varchar, varchar, varchar, jsonpath, jsonb, varchar),
  message_store.erasure_remains(bigint),
  message_store.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint),
  message_store.record_horizons(),
  message_store.require_map(bigint),
  message_store.retain(varchar, interval, varchar),
  message_store.wipe_free_room()
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION message_store.advance_position(bigint), message_store.apply_retention(bigint),
  message_store.check_position(uuid, bigint), message_store.deleted_up_to(varchar), message_store.epoch(),
  message_store.get_settled_messages(varchar, bigint, bigint, varchar, bigint, bigint, bigint, bigint),
  message_store.record_horizons(), message_store.require_map(bigint) TO message_store;

GRANT EXECUTE ON FUNCTION message_store.become_shard(bigint, bigint, bigint, text[], bigint),
  message_store.begin_epoch(varchar, bigint), message_store.confirm_epoch(uuid, varchar),
  message_store.delete_moved_messages(bigint, bigint, bigint, bigint)
TO message_store_admin;

GRANT EXECUTE ON FUNCTION message_store.check_position(uuid, bigint), message_store.deleted_up_to(varchar),
  message_store.epoch() TO message_store_viewer;

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
      AND e.default_version OPERATOR(pg_catalog.=) '0.4.0')
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
