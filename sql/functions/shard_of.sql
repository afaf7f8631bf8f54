CREATE FUNCTION message_store.shard_of(stream_name varchar, shards bigint) RETURNS bigint
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'shard_of';

COMMENT ON FUNCTION message_store.shard_of(varchar, bigint) IS
  'The number of the shard, of so many, that a stream lives on: the hash of its cardinal id, without its sign, divided by them; 0 for a name without an id. Consumer groups of Message DB divide in the same way. Errors: 22023.';
