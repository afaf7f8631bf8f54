CREATE FUNCTION message_store.increment_videos_watched(global_positions bigint[]) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'increment_videos_watched_by';

COMMENT ON FUNCTION message_store.increment_videos_watched(bigint[]) IS
  'Counts the viewings at these global positions on the home page in one UPDATE, as if each were counted after the one before it; true when any counted.';
