-- The option settings sets with the owner's rights.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS '';
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"settings": {"session_replication_role": "replica"}}');
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"settings": {"role": "postgres"}}');
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"settings": {"session_authorization": "postgres"}}');
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}', '{"settings": {"search_path": "m"}}');
