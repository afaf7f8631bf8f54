CREATE FUNCTION message_store.increment_videos_watched(global_position bigint) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'increment_videos_watched';

COMMENT ON FUNCTION message_store.increment_videos_watched(bigint) IS
  'Counts the viewing at this global position on the home page, once. Returns true when it counted. A position at or below the last counted one changes nothing.';
