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
