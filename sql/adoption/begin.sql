-- Every name has its schema, and no operator or function of anybody else's is found: whoever may create
-- in the schema of the store could have made one.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- What Message DB's functions and grants were, for whoever goes back to them. The text is trusted no more
-- than its table: revert_adoption() looks whether it is Message DB's.
CREATE TABLE message_store.message_db_before (
  kind text NOT NULL,
  name text NOT NULL,
  definition text,
  privileges jsonb NOT NULL,
  comment text,
  PRIMARY KEY (kind, name)
);
COMMENT ON TABLE message_store.message_db_before IS
  'Message DB''s functions, and the privileges and comments of all that it has, as they were when this store was adopted.';

INSERT INTO message_store.message_db_before
SELECT o.kind, o.name, o.definition,
  coalesce((
    SELECT jsonb_agg(jsonb_build_object('to', r.rolname, 'privilege', a.privilege_type,
      'grantable', a.is_grantable) ORDER BY a.ordinality)
    FROM aclexplode(o.acl) WITH ORDINALITY a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.grantee = 0::oid OR r.oid IS NOT NULL), '[]'),
  o.comment
FROM (
  SELECT 'FUNCTION' AS kind, format('message_store.%I(%s)', p.proname, oidvectortypes(p.proargtypes)) AS name,
    pg_get_functiondef(p.oid) AS definition, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl,
    obj_description(p.oid, 'pg_proc') AS comment
  FROM pg_proc p
  WHERE p.pronamespace = 'message_store'::regnamespace AND p.prokind = 'f'
    AND concat(p.proname, '(', oidvectortypes(p.proargtypes), ')') = ANY (ARRAY[
      'acquire_lock(character varying)',
      'cardinal_id(character varying)',
      'category(character varying)',
      'get_category_messages(character varying, bigint, bigint, character varying, bigint, bigint, character varying)',
      'get_last_stream_message(character varying)',
      'get_last_stream_message(character varying, character varying)',
      'get_stream_messages(character varying, bigint, bigint, character varying)',
      'hash_64(character varying)',
      'id(character varying)',
      'is_category(character varying)',
      'message_store_version()',
      'stream_version(character varying)',
      'write_message(character varying, character varying, character varying, jsonb, jsonb, bigint)'])
  UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
    format('message_store.%I', c.relname), NULL,
    coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)),
    obj_description(c.oid, 'pg_class')
  FROM pg_class c
  WHERE c.relnamespace = 'message_store'::regnamespace
    AND c.relname = ANY ('{messages, messages_global_position_seq, category_type_summary, stream_summary,
      stream_type_summary, type_category_summary, type_stream_summary, type_summary}'::name[])
    AND c.relkind = ANY ('{r,v,S}'::"char"[])
  UNION ALL
  SELECT 'SCHEMA', 'message_store', NULL, coalesce(n.nspacl, acldefault('n', n.nspowner)),
    obj_description(n.oid, 'pg_namespace')
  FROM pg_namespace n
  WHERE n.nspname = 'message_store'
  UNION ALL
  SELECT 'TYPE', 'message_store.message', NULL, NULL, obj_description(t.oid, 'pg_type')
  FROM pg_type t
  WHERE t.oid = 'message_store.message'::regtype
) AS o;

ALTER EXTENSION message_store DROP TABLE message_store.message_db_before;

-- In 1.2 it had one parameter; ours has a second one with a default.
DROP FUNCTION IF EXISTS message_store.get_last_stream_message(varchar);

-- The other functions and the type stay what they are, with all that depends on them; only what the functions
-- do is replaced.
ALTER EXTENSION message_store ADD TYPE message_store.message;
DO $$
DECLARE
  taken text;
BEGIN
  FOR taken IN
    SELECT b.name FROM message_store.message_db_before b
    WHERE b.kind = 'FUNCTION' AND to_regprocedure(b.name) IS NOT NULL
  LOOP
    EXECUTE format('ALTER EXTENSION message_store ADD FUNCTION %s', taken);
  END LOOP;
END
$$;

