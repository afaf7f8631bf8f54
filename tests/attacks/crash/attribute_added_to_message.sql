-- A superuser's mistake, and a read: the row has more columns than we wrote.
-- S
ALTER TYPE message_store.message ADD ATTRIBUTE more text;
-- m fails 55000
SELECT * FROM message_store.get_stream_messages('hv-1');
-- m fails 55000
SELECT message_store.tick('no');
-- m fails 55000
SELECT message_store.follow(ROW('x', 'a-1', 'T', 1, 1, '{}', '{}', now()::timestamp, 'x')::message_store.message);
-- S
ALTER TYPE message_store.message DROP ATTRIBUTE more;
-- m
SELECT * FROM message_store.get_stream_messages('hv-1'); SELECT message_store.tick('no');
SELECT message_store.follow(m) FROM message_store.get_stream_messages('hv-1') m;
