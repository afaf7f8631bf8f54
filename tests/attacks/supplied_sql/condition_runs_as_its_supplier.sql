-- What a condition calls has the caller's rights and no others.
-- m
SET message_store.sql_condition = on;
SELECT * FROM message_store.get_stream_messages('hv-1', condition => 'm.boom() = 1');
-- m fails 42501
SELECT * FROM message_store.get_stream_messages('hv-1', condition => 'EXISTS (SELECT FROM public.secret)');
