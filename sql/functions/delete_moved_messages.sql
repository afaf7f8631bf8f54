CREATE FUNCTION message_store.delete_moved_messages(
  number bigint,
  shards bigint,
  after bigint DEFAULT 0,
  max_messages bigint DEFAULT 5000
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'delete_moved_messages';

COMMENT ON FUNCTION message_store.delete_moved_messages(bigint, bigint, bigint, bigint) IS
  'Deletes messages that lie here and live on another shard, since this one became two, and is number of so many, and forgets what is parked of them: of the next ones after a global position, as many as are said. Returns the global position of the last that was looked at, to go on from; NULL at the end. Errors: 22023, 25006, 42501, 55000 (this is no shard).';
