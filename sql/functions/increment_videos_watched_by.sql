CREATE FUNCTION message_store.increment_videos_watched(global_positions bigint[]) RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'increment_videos_watched_by';

COMMENT ON FUNCTION message_store.increment_videos_watched(bigint[]) IS
  'Counts the viewings at these global positions on the home page in one UPDATE. The result is the same as counting one after another. Returns true when at least one counted.';
