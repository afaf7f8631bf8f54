-- A Message DB database, as its own installation left it: nothing is changed by this. What takes it over
-- is the update that follows.
DO $$
DECLARE
  columns text;
  found text;
BEGIN
  IF pg_catalog.to_regprocedure('message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint)') IS NULL
    OR pg_catalog.to_regclass('message_store.messages') IS NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = 'there is no Message DB in this database',
      HINT = 'CREATE EXTENSION message_store; installs a store of its own.';
  END IF;
  SELECT pg_catalog.string_agg(a.attname OPERATOR(pg_catalog.||) ' '
      OPERATOR(pg_catalog.||) pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
  INTO columns
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid OPERATOR(pg_catalog.=) 'message_store.messages'::pg_catalog.regclass
    AND a.attnum OPERATOR(pg_catalog.>) 0;
  IF pg_catalog.strpos(columns, 'global_position bigint, position bigint, time timestamp without time zone, '
      'stream_name text, type text, data jsonb, metadata jsonb, id uuid') OPERATOR(pg_catalog.<>) 1
    AND pg_catalog.strpos(columns, 'id uuid, stream_name text, type text, position bigint, '
      'global_position bigint, data jsonb, metadata jsonb, time timestamp without time zone')
      OPERATOR(pg_catalog.<>) 1 THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = 'message_store.messages does not begin with the columns of Message DB',
      DETAIL = pg_catalog.format('They are: %s.', columns),
      HINT = 'Bring the messages over by orchestrator export and import.';
  END IF;

  SELECT c.collname INTO found
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_collation c ON c.oid OPERATOR(pg_catalog.=) a.attcollation
  WHERE a.attrelid OPERATOR(pg_catalog.=) 'message_store.messages'::pg_catalog.regclass
    AND a.attname OPERATOR(pg_catalog.=) ANY ('{stream_name,type}'::pg_catalog.name[])
    AND NOT c.collisdeterministic;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = pg_catalog.format('the names in message_store.messages have the collation "%s", by which different names are equal', found),
      HINT = 'ALTER TABLE message_store.messages ALTER COLUMN ... TYPE text COLLATE "C"; it builds two indexes again.';
  END IF;

  SELECT pg_catalog.format('CREATE %sINDEX CONCURRENTLY %s ON message_store.messages (%s);',
    wanted.kind, wanted.name, wanted.keys)
  INTO found
  FROM (VALUES
    ('messages_id', 'UNIQUE ', 'id'),
    ('messages_stream', 'UNIQUE ', 'stream_name, position'),
    ('messages_category', '', 'message_store.category(stream_name), global_position, '
      'message_store.category(metadata ->> ''correlationStreamName'')')) AS wanted (name, kind, keys)
  WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_index i
    WHERE i.indrelid OPERATOR(pg_catalog.=) 'message_store.messages'::pg_catalog.regclass
      AND i.indexrelid OPERATOR(pg_catalog.=)
        pg_catalog.to_regclass('message_store.' OPERATOR(pg_catalog.||) wanted.name)
      AND i.indisvalid AND i.indisunique OPERATOR(pg_catalog.=) (wanted.kind OPERATOR(pg_catalog.<>) ''))
  LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = 'message_store.messages lacks an index of Message DB, or it is invalid',
      HINT = found;
  END IF;

  SELECT pg_catalog.format('%s may create objects in schema message_store', CASE
      WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'everybody'
      ELSE pg_catalog.format('role %s', a.grantee::pg_catalog.regrole) END)
  INTO found
  FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
  WHERE n.nspname OPERATOR(pg_catalog.=) 'message_store'
    AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
      WHERE r.oid OPERATOR(pg_catalog.=) a.grantee
        AND (r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) current_user))
  LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = found,
      HINT = 'REVOKE CREATE ON SCHEMA message_store FROM ...;';
  END IF;

  SELECT c.relname INTO found
  FROM pg_catalog.pg_class c
  WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
    AND c.relname OPERATOR(pg_catalog.=) ANY ('{subscriptions, subscription_progress, parked, history,
      read_model_pages, parked_messages, subscription_status, subscription_history,
      message_db_before}'::pg_catalog.name[])
  LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = pg_catalog.format('message_store.%s is there already, and a store has one of that name', found),
      HINT = 'Move it into another schema.';
  END IF;

  IF EXISTS (
    SELECT FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid OPERATOR(pg_catalog.=) 'message_store.messages'::pg_catalog.regclass
      AND t.tgname OPERATOR(pg_catalog.=) 'message_store_adoption'
  ) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = 'message_store.messages has a trigger message_store_adoption that is not ours',
      HINT = 'DROP TRIGGER message_store_adoption ON message_store.messages;';
  END IF;

  SELECT pg_catalog.format('on %s privileges are passed on by role %s, who does not own it', c.relname,
    a.grantor::pg_catalog.regrole) INTO found
  FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
  WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY['message_store.messages'::pg_catalog.regclass::pg_catalog.oid,
      pg_catalog.to_regclass('message_store.messages_global_position_seq')::pg_catalog.oid])
    AND a.grantor OPERATOR(pg_catalog.<>) c.relowner
  LIMIT 1;
  IF found IS NULL AND EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid OPERATOR(pg_catalog.=) 'message_store.messages'::pg_catalog.regclass
      AND a.attacl IS NOT NULL
  ) THEN
    found := 'on columns of message_store.messages there are privileges of their own';
  END IF;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = found,
      HINT = 'Revoke them, and grant on the whole table as its owner.';
  END IF;

  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_sequence s
    WHERE s.seqrelid OPERATOR(pg_catalog.=)
        pg_catalog.to_regclass('message_store.messages_global_position_seq')
      AND s.seqcache OPERATOR(pg_catalog.=) 1 AND s.seqincrement OPERATOR(pg_catalog.>) 0 AND NOT s.seqcycle
  ) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = 'the sequence message_store.messages_global_position_seq is missing, or hands positions out in another order',
      HINT = 'ALTER SEQUENCE message_store.messages_global_position_seq CACHE 1 INCREMENT 1 NO CYCLE;';
  END IF;
END
$$;
