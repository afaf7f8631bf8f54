-- A rebuild beside the live one grants its owner CREATE on a schema, for functions of its own.
-- S
REVOKE CREATE ON SCHEMA m FROM m; ALTER SCHEMA m OWNER TO postgres; GRANT USAGE ON SCHEMA m TO m;
-- m
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "message_store.increment_videos_watched"}', '{"read_model": ["message_store.read_model_pages"]}');
SELECT message_store.rebuild('mo', true);
-- m fails 42501
DO $$ DECLARE s name; BEGIN
  SELECT nspname INTO s FROM pg_namespace WHERE nspname LIKE 'message_store_copy%';
  EXECUTE format('CREATE FUNCTION %I.f() RETURNS int LANGUAGE sql AS ''SELECT 1''', s);
END $$;
