-- A function in the schema of the store whose argument type fits a column better than that of ours.
-- S
GRANT CREATE ON SCHEMA message_store TO m;
-- m
CREATE FUNCTION message_store.category(text) RETURNS varchar LANGUAGE sql AS 'SELECT m.boom(); SELECT ''hv''::varchar';
-- S
SELECT message_store.write_message(gen_random_uuid()::varchar, 'hv-1', 'A', '{}');
SELECT message_store.create_subscription('fetches', 'hv', '{}');
SELECT message_store.fetch('fetches', 10, '1 hour');
SELECT message_store.erase_message_data('asked', stream_name => 'hv-1');
SELECT message_store.erase_message_data('asked', metadata_path => '$', category => 'hv');
SELECT message_store.erasure_remains(1);
SELECT message_store.delete_category_before('hv', 'old', before_position => 1000, may_skip => true);
SELECT message_store.write_message(gen_random_uuid()::varchar, 'hv-2', 'A', '{}');
UPDATE message_store.messages SET time = time - interval '1 day';
SELECT message_store.retain('hv', '1 hour', 'old');
-- m
SELECT * FROM message_store.apply_retention();
