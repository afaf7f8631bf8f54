CREATE FUNCTION message_store.wipe_free_room() RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'wipe_free_room';

COMMENT ON FUNCTION message_store.wipe_free_room() IS
  'Writes zeros over the free room of the pages of messages and of the tables of subscriptions, with their indexes, where VACUUM leaves the bytes of rows that it took away. Returns in how many pages there were any. To be called after an erasure and a VACUUM. Locks one page at a time. Errors: 42501.';
