-- standard_conforming_strings = off lets a quoted backslash end a string in the owner's dynamic SQL.
-- S
CREATE FUNCTION public.h(message message_store.message) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN EXECUTE 'SELECT ''' || replace(message.data::jsonb ->> 'word', '''', '''''') || ''''; END $f$;
SELECT message_store.create_subscription('su:dynamic', 'dyn', '{"$any": "public.h"}', '{"retries": 0}');
-- m
SELECT message_store.write_message(gen_random_uuid()::varchar, 'dyn-1', 'T', jsonb_build_object('word', $$\', m.boom() --$$));
SET standard_conforming_strings = off; SET backslash_quote = on;
SELECT message_store.tick('su:dynamic');
