DO $$
DECLARE
  found text;
BEGIN
  SELECT b.name INTO found
  FROM message_store.message_db_before b
  WHERE b.kind = 'FUNCTION' AND NOT message_store.is_message_dbs(b.definition);
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'function % is not as Message DB has made it', found USING
      ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Install the functions of your Message DB again (its install-functions.sh), or keep yours under another name.';
  END IF;
END
$$;

SELECT message_store.create_store();
-- The library looks at the table, and refuses what it would not heed: rules, row-level security, children.
SELECT message_store.stream_version('');

-- The tables and views are the user's, not the extension's.
DO $$
DECLARE
  statement text;
BEGIN
  FOR statement IN
    SELECT pg_catalog.format('ALTER EXTENSION message_store DROP %s %s',
      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
      c.oid::pg_catalog.regclass)
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
    JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND d.deptype OPERATOR(pg_catalog.=) 'e'
      AND e.extname OPERATOR(pg_catalog.=) 'message_store'
      AND c.relkind OPERATOR(pg_catalog.<>) 'c'
  LOOP
    EXECUTE statement;
  END LOOP;
END
$$;

GRANT SELECT ON message_store.messages,
  message_store.category_type_summary, message_store.stream_summary, message_store.stream_type_summary,
  message_store.type_category_summary, message_store.type_stream_summary, message_store.type_summary
TO message_store_viewer;

-- Whoever could INSERT could write, and nobody else.
DO $$
DECLARE
  writer text;
BEGIN
  FOR writer IN
    SELECT DISTINCT a.grantee::regrole::text
    FROM pg_proc p, aclexplode(p.proacl) a
    WHERE p.oid = 'message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint)'::regprocedure
      AND a.grantee <> 0::oid AND a.grantee <> p.proowner
      AND NOT has_table_privilege(a.grantee, 'message_store.messages', 'INSERT')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION
      message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) FROM %s', writer);
  END LOOP;
  FOR writer IN
    SELECT DISTINCT CASE WHEN a.grantee = 0::oid THEN 'PUBLIC' ELSE a.grantee::regrole::text END
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'message_store.messages'::regclass AND a.privilege_type = 'INSERT'
      AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION
      message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) TO %s', writer);
  END LOOP;
  -- Whatever default privileges have given away.
  FOR writer IN
    SELECT DISTINCT CASE WHEN a.grantee = 0::oid THEN 'PUBLIC' ELSE a.grantee::regrole::text END
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'message_store.message_db_before'::regclass AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('REVOKE ALL ON message_store.message_db_before FROM %s', writer);
  END LOOP;
END
$$;

-- PostgreSQL takes what a script grants for what CREATE EXTENSION would grant again, and pg_dump leaves
-- that out. But the schema, the tables and the views are not the extension's, and who may write is up to
-- this database.
DELETE FROM pg_catalog.pg_init_privs i
WHERE (i.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
    AND i.objoid OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace)
  OR (i.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    AND i.objoid OPERATOR(pg_catalog.=) ANY (ARRAY(
      SELECT c.oid FROM pg_catalog.pg_class c
      WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace)))
  OR (i.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND i.objoid OPERATOR(pg_catalog.=)
      'message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint)'::pg_catalog.regprocedure);

-- Last, because it keeps writers out until the commit: until the calls of Message DB's functions that
-- run now have ended, what they insert is announced. finish_adoption() drops it. How long
-- that lock is waited for is told to whoever asks before the commit.
SELECT pg_catalog.set_config('message_store_adoption.waits_from', pg_catalog.clock_timestamp()::pg_catalog.text, true);
LOCK TABLE message_store.messages IN SHARE ROW EXCLUSIVE MODE;
SELECT pg_catalog.set_config('message_store_adoption.holds_from', pg_catalog.clock_timestamp()::pg_catalog.text, true);
CREATE TRIGGER message_store_adoption BEFORE INSERT ON message_store.messages
  FOR EACH STATEMENT EXECUTE FUNCTION message_store.announce_insert();
