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
