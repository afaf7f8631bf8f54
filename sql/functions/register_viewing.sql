CREATE FUNCTION message_store.register_viewing(command message_store.message) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT message_store.write_messages(
    ('viewings-' || (command.data::jsonb ->> 'videoId'))::varchar,
    jsonb_build_array(jsonb_build_object('type', 'VideoViewed', 'data', command.data::jsonb)));
$$;

COMMENT ON FUNCTION message_store.register_viewing(message_store.message) IS
  'The handler of a service: answers the command RegisterViewing {"userId", "videoId"} with the event VideoViewed in the video''s stream. Its id derives from the command, so the event exists once; its metadata says what caused it.';
