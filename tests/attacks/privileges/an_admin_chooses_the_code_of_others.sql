-- Who steers the subscriptions of others chooses what runs with their rights.
-- S
SELECT message_store.create_subscription('su:admin', 'adm', '{"$any": "message_store.increment_videos_watched"}',
  '{"read_model": [{"table": "message_store.read_model_pages", "where": "page_name = ''home''"}]}');
SELECT message_store.write_message(gen_random_uuid()::varchar, 'adm-1', 'T', '{}');
GRANT message_store_admin TO m;
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS 'SELECT m.boom()';
CREATE FUNCTION m.i() RETURNS void LANGUAGE sql AS 'SELECT m.boom()';
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA m TO PUBLIC;
-- m fails 42501
SELECT message_store.alter_subscription('su:admin', '{"$any": "m.h"}');
-- m fails 42501
SELECT message_store.alter_subscription('su:admin', options => '{"init": "m.i"}');
-- m fails 42501
SELECT message_store.alter_subscription('su:admin', options => '{"read_model": [{"table": "message_store.read_model_pages", "where": "m.boom() IS NULL"}]}');
-- m fails 42501
SELECT message_store.alter_subscription('su:admin', options => '{"settings": {"session_replication_role": "replica"}}');
-- m fails 42501
SELECT message_store.alter_subscription('su:admin', options => '{"search_path": "m, public"}');
-- m fails 42501
SELECT message_store.alter_subscription('su:admin', options => '{"search_path": null}');
-- m fails 42501
SELECT * FROM message_store.dry_run('su:admin', '{"$any": "m.h"}');
-- m
SELECT message_store.alter_subscription('su:admin', options => '{"retries": 3}');
SELECT message_store.tick('su:admin');
-- S
REVOKE message_store_admin FROM m;
