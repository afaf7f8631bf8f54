-- A function in public with argument types that fit better than those of pg_catalog.
-- S
GRANT CREATE ON SCHEMA public TO m;
-- m
CREATE FUNCTION public.to_char(timestamp, varchar) RETURNS text LANGUAGE sql AS 'SELECT m.boom()::text';
CREATE FUNCTION public.jsonb_agg(message_store.message) RETURNS jsonb LANGUAGE sql AS 'SELECT m.boom(); SELECT ''[]''::jsonb';
CREATE FUNCTION public.id(varchar) RETURNS varchar LANGUAGE sql AS 'SELECT m.boom()::varchar';
CREATE FUNCTION public.category(varchar) RETURNS varchar LANGUAGE sql AS 'SELECT m.boom()::varchar';
CREATE FUNCTION public.unnest(message_store.message[]) RETURNS SETOF message_store.message LANGUAGE sql AS 'SELECT m.boom(); SELECT NULL::message_store.message';
-- S
SELECT message_store.tick('su:most-watched');
SELECT * FROM message_store.category_type_summary;
