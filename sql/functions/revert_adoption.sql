CREATE FUNCTION message_store.revert_adoption() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found text;
  was record;
  privilege record;
BEGIN
  IF to_regclass('message_store.message_db_before') IS NULL THEN
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

  -- What the extension does not take along when it is dropped.
  ALTER EXTENSION message_store DROP TYPE message_store.message;
  FOR was IN SELECT * FROM message_store.message_db_before WHERE definition IS NOT NULL LOOP
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
      SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
      FROM aclexplode(was.now) a
    LOOP
      EXECUTE format('REVOKE ALL ON %s %s FROM %s', was.granted_as, was.name, privilege.grantee);
    END LOOP;
    FOR privilege IN
      SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee,
        a.privilege_type, a.is_grantable
      FROM aclexplode(was.privileges) WITH ORDINALITY a
      ORDER BY a.ordinality
    LOOP
      EXECUTE format('GRANT %s ON %s %s TO %s%s', privilege.privilege_type, was.granted_as, was.name,
        privilege.grantee, CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
  END LOOP;
  DROP TABLE message_store.subscriptions, message_store.subscription_progress, message_store.parked,
    message_store.history, message_store.read_model_pages, message_store.message_db_before CASCADE;

  -- Last, because it keeps writers out until the commit.
  PERFORM set_config('message_store_adoption.waits_from', clock_timestamp()::text, true);
  LOCK TABLE message_store.messages IN SHARE ROW EXCLUSIVE MODE;
  PERFORM set_config('message_store_adoption.holds_from', clock_timestamp()::text, true);
  CREATE TRIGGER message_store_adoption BEFORE INSERT ON message_store.messages
    FOR EACH STATEMENT EXECUTE FUNCTION message_store.announce_insert();
END
$$;

COMMENT ON FUNCTION message_store.revert_adoption() IS
  'Gives an adopted database back to Message DB, with its functions and grants as they were; the messages stay. Call finish_adoption() then, and DROP EXTENSION message_store. Errors: 42501, 55000 (it was not adopted, the adoption is not finished, or there are subscriptions, which Message DB cannot hold), 55P03 (lock_timeout).';
