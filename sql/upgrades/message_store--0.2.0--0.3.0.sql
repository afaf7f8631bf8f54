-- 0.3.0 closes doors. Most of it is in the library; here: no name of ours is found in pg_temp.
ALTER FUNCTION message_store.count_views_per_video(message_store.message[])
  SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION message_store.ensure_most_watched() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION message_store.register_viewing(message_store.message)
  SET search_path = pg_catalog, pg_temp;
