CREATE FUNCTION message_store.become_shard(
  number bigint,
  shards bigint,
  map bigint,
  addresses text[] DEFAULT NULL,
  above bigint DEFAULT NULL
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'become_shard';

COMMENT ON FUNCTION message_store.become_shard(bigint, bigint, bigint, text[], bigint) IS
  'Makes this store a shard: number, of so many, as the map of this version has it. Its global positions then come in steps of 1,024, above the argument and all that were drawn. A shard of n may become one of a multiple of n that keeps a share of its streams. Waits for writers to end, and keeps them waiting until its transaction ends: in a transaction of its own, with lock_timeout. Errors: 22023, 25001, 25006, 42501, 55000 (a group is being resized), 55P03.';
