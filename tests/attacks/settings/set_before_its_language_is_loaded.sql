-- What a session sets for PL/pgSQL before it is loaded moves when it is; handlers run before and after.
-- S
CREATE TABLE public.kept (name text);
INSERT INTO public.kept VALUES ('one'), ('two');
CREATE FUNCTION public.plain(bigint) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION public.removes(bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text := 'none';
BEGIN DELETE FROM public.kept WHERE name = name; END $$;
SELECT message_store.create_subscription('su:plain', 'plain', '{"$any": "public.plain"}');
SELECT message_store.create_subscription('su:removes', 'removes', '{"$any": "public.removes"}', '{"on_failure": "park", "retries": 0}');
-- m
SET plpgsql.variable_conflict = 'use_variable';
SELECT message_store.write_message(gen_random_uuid()::varchar, s, 'T', '{}') FROM unnest(ARRAY['plain-1', 'plain-1', 'removes-1', 'plain-1', 'removes-1']) s;
SELECT message_store.tick('su:plain', 1);
SELECT message_store.tick('su:plain', 1);
SELECT message_store.tick('su:removes', 1);
SELECT message_store.tick('su:plain', 1);
SELECT message_store.tick('su:removes', 1);
-- check
SELECT count(*) = 2 FROM public.kept
-- check
SELECT count(*) = 1 AND min(error) LIKE '%ambiguous%' FROM message_store.parked WHERE subscriber_id = 'su:removes' AND status = 'failed'
