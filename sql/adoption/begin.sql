-- What Message DB's functions and grants were, for whoever goes back to them.
CREATE TABLE message_store.message_db_before (
  name text PRIMARY KEY,
  definition text,
  privileges aclitem[]
);
COMMENT ON TABLE message_store.message_db_before IS
  'Message DB''s functions, and the privileges on all that it has, as they were when this store was adopted. NULL: those of an object that nobody has granted.';

INSERT INTO message_store.message_db_before
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text, pg_catalog.pg_get_functiondef(p.oid), p.proacl
FROM pg_catalog.pg_proc p
WHERE p.pronamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
  AND p.prokind OPERATOR(pg_catalog.=) 'f'
UNION ALL
SELECT c.relname, NULL, c.relacl
FROM pg_catalog.pg_class c
WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,v,S}'::pg_catalog."char"[])
  AND c.relname OPERATOR(pg_catalog.<>) 'message_db_before';

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

