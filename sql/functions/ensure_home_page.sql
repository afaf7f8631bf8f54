CREATE FUNCTION message_store.ensure_home_page() RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'ensure_home_page';

COMMENT ON FUNCTION message_store.ensure_home_page() IS
  'Adds the row of the home page, {"lastViewProcessed": 0, "videosWatched": 0}, when it is missing.';
