-- The id of a service's message can be computed, and another message written under it first:
-- the service's own must not vanish while the tick reports success.
-- n
CREATE FUNCTION n.serve(message message_store.message) RETURNS void LANGUAGE sql AS $$
  SELECT message_store.write_messages('answers-1', '[{"type": "Answered", "data": {"n": 1}}]')
$$;
SELECT message_store.create_subscription('n:service', 'commands', '{"$any": "n.serve"}', '{"retries": 0}');
SELECT message_store.write_message(gen_random_uuid()::varchar, 'commands-1', 'Do', '{}');
-- check
SELECT max(global_position) = 3 FROM message_store.messages
-- m
SELECT message_store.write_message('ba495ab6-7575-57fd-a960-23c9da097990', 'answers-1', 'Answered', '{"n": 1}', '{"causationMessageGlobalPosition": 1}');
-- S
SELECT message_store.tick('n:service');
-- check
SELECT state = 'stopped' AND last_sqlstate = '23505' AND position < 3 FROM message_store.subscription_status WHERE subscriber_id = 'n:service'
