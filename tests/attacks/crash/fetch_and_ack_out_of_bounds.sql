-- Numbers at the ends of their types.
-- m
SELECT message_store.create_subscription('mo', 'mv', '{}');
SELECT * FROM message_store.fetch('mo', 9223372036854775807, '366 days');
-- m fails 22023
SELECT * FROM message_store.fetch('mo', 1, '178000000 years');
-- m fails 55000
SELECT message_store.ack('mo', 9223372036854775807, -9223372036854775808);
