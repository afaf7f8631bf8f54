-- Functions that read check the caller's SELECT.
-- S
REVOKE SELECT ON message_store.messages FROM message_store;
-- m fails 42501
SELECT * FROM message_store.get_stream_messages('hv-1');
-- m fails 42501
SELECT * FROM message_store.get_category_messages('hv');
-- m fails 42501
SELECT * FROM message_store.get_all_messages();
-- m fails 42501
SELECT * FROM message_store.get_last_stream_message('hv-1');
-- m fails 42501
SELECT message_store.stream_version('hv-1');
-- S
GRANT SELECT ON message_store.messages TO message_store;
