-- Handlers run with their owner's EXECUTE, now and later.
-- S
CREATE FUNCTION public.h(bigint) RETURNS void LANGUAGE sql AS ''; REVOKE EXECUTE ON FUNCTION public.h FROM PUBLIC;
-- m fails 42501
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "public.h"}');
-- S
GRANT EXECUTE ON FUNCTION public.h TO m;
-- m
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "public.h"}', '{"retries": 0}');
-- S
REVOKE EXECUTE ON FUNCTION public.h FROM m; SELECT message_store.tick('mo');
-- check
SELECT last_sqlstate = '42501' FROM message_store.subscription_status WHERE subscriber_id = 'mo'
