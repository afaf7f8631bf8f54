-- Values nested as deeply as PostgreSQL takes them, printed, handed to handlers and followed.
-- m
SELECT message_store.write_message(gen_random_uuid()::varchar, 'mv-1', 'T', (repeat('[', 6000) || repeat(']', 6000))::jsonb, (repeat('{"a":', 3000) || '1' || repeat('}', 3000))::jsonb);
SELECT length(data) FROM message_store.get_stream_messages('mv-1');
CREATE FUNCTION m.h(message message_store.message) RETURNS void LANGUAGE sql AS $$ SELECT message_store.write_messages('x-1', jsonb_build_array(jsonb_build_object('type', 'T', 'data', message.data::jsonb))) $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
SELECT message_store.tick('mo');
-- m fails 22023
SELECT message_store.create_subscription('mo2', 'mv', (repeat('{"a":', 3000) || '1' || repeat('}', 3000))::jsonb);
-- m fails 22023
SELECT message_store.create_subscription('mo2', 'mv', '{}', (repeat('{"a":', 3000) || '1' || repeat('}', 3000))::jsonb);
