-- A subscription of a name that a superuser's configuration will declare.
-- m
CREATE FUNCTION m.h(bigint) RETURNS void LANGUAGE sql AS 'SELECT m.boom()';
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "m.h"}');
-- S fails 42501
SELECT message_store.create_subscription('mo', 'mv', '{"$any": "message_store.increment_videos_watched"}');
