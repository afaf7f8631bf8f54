-- 0.3.0 closes doors. Most of it is in the library; here: no name of ours is found in pg_temp.
ALTER FUNCTION message_store.count_views_per_video(message_store.message[])
  SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION message_store.ensure_most_watched() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION message_store.register_viewing(message_store.message)
  SET search_path = pg_catalog, pg_temp;

CREATE FUNCTION message_store.renew(
  subscriber_id varchar,
  duration interval,
  lease bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'renew';

COMMENT ON FUNCTION message_store.renew(varchar, interval, bigint) IS
  'Lets a lease that has not run out last so long from now: for an application that needs longer than it said to fetch. lease: from fetch; NULL for the last one this session fetched. Errors: 42704, 42501, 22023, 55000 (the lease ran out, or is another''s).';

REVOKE EXECUTE ON FUNCTION message_store.renew(varchar, interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_store.renew(varchar, interval, bigint) TO message_store;

-- The demo brings its own SQL now (home_page/home_page.sql in the sources). A store that uses what
-- the extension had of it keeps that, as its own; from every other it goes.
ALTER EXTENSION message_store DROP FUNCTION
  message_store.count_views_per_video(message_store.message[]);
ALTER EXTENSION message_store DROP FUNCTION message_store.ensure_most_watched();
ALTER EXTENSION message_store DROP FUNCTION
  message_store.register_viewing(message_store.message);

DO $$
DECLARE
  is_used boolean;
BEGIN
  -- Tables only: a view that somebody put there would run its functions with our rights.
  IF EXISTS (
    SELECT FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('message_store.video_views')
      AND c.relkind OPERATOR(pg_catalog.=) 'r')
  THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM message_store.video_views)' INTO is_used;
  END IF;
  IF is_used IS NOT TRUE AND EXISTS (
    SELECT FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('message_store.subscriptions')
      AND c.relkind OPERATOR(pg_catalog.=) 'r')
  THEN
    EXECUTE $sql$
      SELECT EXISTS (
        SELECT FROM message_store.subscriptions s
        WHERE pg_catalog.concat(s.handlers, s.options) OPERATOR(pg_catalog.~)
          'count_views_per_video|ensure_most_watched|register_viewing|video_views')
    $sql$ INTO is_used;
  END IF;
  IF is_used IS NOT TRUE THEN
    DROP FUNCTION message_store.count_views_per_video(message_store.message[]),
      message_store.ensure_most_watched(), message_store.register_viewing(message_store.message);
    DROP TABLE IF EXISTS message_store.video_views;
  END IF;
EXCEPTION
  -- Something of the user's stands on it: it is used.
  WHEN dependent_objects_still_exist THEN NULL;
END
$$;
