-- What Message DB's functions and grants were, for whoever goes back to them.
CREATE TABLE message_store.message_db_before (
  kind text NOT NULL,
  name text NOT NULL,
  definition text,
  privileges aclitem[],
  comment text,
  PRIMARY KEY (kind, name)
);
COMMENT ON TABLE message_store.message_db_before IS
  'Message DB''s functions, and the privileges and comments of all that it has, as they were when this store was adopted.';

-- So that every name in a definition has its schema.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
INSERT INTO message_store.message_db_before
SELECT 'FUNCTION', pg_catalog.format('message_store.%I(%s)', p.proname, pg_catalog.oidvectortypes(p.proargtypes)),
  pg_catalog.pg_get_functiondef(p.oid), coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)),
  pg_catalog.obj_description(p.oid, 'pg_proc')
FROM pg_catalog.pg_proc p
WHERE p.pronamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
  AND p.prokind OPERATOR(pg_catalog.=) 'f'
  AND p.proname OPERATOR(pg_catalog.=) ANY ('{acquire_lock, cardinal_id, category, get_category_messages,
    get_last_stream_message, get_stream_messages, hash_64, id, is_category, message_store_version,
    stream_version, write_message}'::pg_catalog.name[])
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
  pg_catalog.format('message_store.%I', c.relname), NULL,
  coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::pg_catalog."char", c.relowner)),
  pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c
WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,v,S}'::pg_catalog."char"[])
  AND c.relname OPERATOR(pg_catalog.<>) 'message_db_before'
UNION ALL
SELECT 'SCHEMA', 'message_store', NULL, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)),
  pg_catalog.obj_description(n.oid, 'pg_namespace')
FROM pg_catalog.pg_namespace n
WHERE n.nspname OPERATOR(pg_catalog.=) 'message_store'
UNION ALL
SELECT 'TYPE', 'message_store.message', NULL, NULL, pg_catalog.obj_description(t.oid, 'pg_type')
FROM pg_catalog.pg_type t
WHERE t.oid OPERATOR(pg_catalog.=) 'message_store.message'::pg_catalog.regtype;
SELECT pg_catalog.set_config('search_path', 'message_store, pg_temp', true);

ALTER EXTENSION message_store DROP TABLE message_store.message_db_before;

-- The functions and the type stay what they are, with all that depends on them; only what the functions do
-- is replaced.
ALTER EXTENSION message_store ADD TYPE message_store.message;
DO $$
DECLARE
  taken text;
BEGIN
  FOR taken IN
    SELECT p.oid::pg_catalog.regprocedure
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
      AND p.prokind OPERATOR(pg_catalog.=) 'f'
      AND pg_catalog.concat(p.proname, '(', pg_catalog.oidvectortypes(p.proargtypes), ')')
        OPERATOR(pg_catalog.=) ANY (ARRAY[
          'acquire_lock(character varying)',
          'cardinal_id(character varying)',
          'category(character varying)',
          'get_category_messages(character varying, bigint, bigint, character varying, bigint, bigint, character varying)',
          'get_last_stream_message(character varying, character varying)',
          'get_stream_messages(character varying, bigint, bigint, character varying)',
          'hash_64(character varying)',
          'id(character varying)',
          'is_category(character varying)',
          'message_store_version()',
          'stream_version(character varying)',
          'write_message(character varying, character varying, character varying, jsonb, jsonb, bigint)'])
  LOOP
    EXECUTE pg_catalog.format('ALTER EXTENSION message_store ADD FUNCTION %s', taken);
  END LOOP;
END
$$;

-- In 1.2 it had one parameter; ours has a second one with a default.
DROP FUNCTION IF EXISTS message_store.get_last_stream_message(varchar);

