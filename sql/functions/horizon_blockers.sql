CREATE FUNCTION message_store.horizon_blockers(category varchar DEFAULT NULL)
RETURNS TABLE (pid integer, is_prepared boolean, holds_back_after bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'horizon_blockers';

COMMENT ON FUNCTION message_store.horizon_blockers(varchar) IS
  'Lists the open transactions that keep readers from messages of a category (NULL: of any category). pid: the process id of the session; NULL for a prepared transaction, which pg_prepared_xacts lists. holds_back_after: readers do not pass this global position.';
