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
  -- A call of Message DB's code is part of a transaction that runs already.
  SELECT array_agg(l.virtualtransaction) INTO older
  FROM pg_locks l
  WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid();
  LOOP
    SELECT array_agg(l.pid) INTO others
    FROM pg_locks l
    JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.virtualtransaction = ANY (older);
    EXIT WHEN others IS NULL;
    IF clock_timestamp() > until THEN
      RAISE EXCEPTION 'transactions that are older than the adoption are still running' USING
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
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
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
  'Ends the adoption of a Message DB database, or its reversal, once the last transaction that is older has ended. Waits for them, at most so long. Then takes the trigger and the right to INSERT away that only Message DB''s own functions needed. Returns false where there was nothing to finish. Errors: 42501, 55006 (they are still running), 55P03 (lock_timeout).';
