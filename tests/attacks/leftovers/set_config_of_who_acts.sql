-- set_config of role, session_authorization and session_replication_role.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', 'postgres', false);
END $$;
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"retries": 0}');
-- S
SELECT message_store.tick('mo');
-- check
SELECT last_sqlstate = '42501' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
