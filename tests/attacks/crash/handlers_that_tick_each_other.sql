-- Ticks within ticks, until the stack ends.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  PERFORM message_store.tick('chain-' || ((substr((message_store.handler_context()).subscriber_id, 7))::int + 1)); END $$;
DO $$ BEGIN FOR i IN 1..300 LOOP PERFORM message_store.create_subscription('chain-' || i, 'mv', '{"$any": "m.h"}', '{"retries": 0}'); END LOOP; END $$;
SELECT outcome FROM message_store.tick('chain-1');
