-- Read models, subscriber ids and sources of hostile text.
-- m fails 22023
SELECT message_store.create_subscription(repeat('x', 1025), 'a', '{}');
-- m
SELECT message_store.create_subscription(E'line\nbreak \u202E \x1b[31m', 'a', '{}');
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{}', '{"read_model": ["pg_catalog.pg_authid; DROP TABLE x"]}');
-- m fails 22023
SELECT message_store.create_subscription('mo', 'mv', '{}', '{"read_model": ["public.secret"]}');
