-- 0.1.1 adds horizon_blockers. The store and the locks' protocol are as in 0.1.0.
CREATE FUNCTION message_store.horizon_blockers(category varchar DEFAULT NULL)
RETURNS TABLE (pid integer, is_prepared boolean, holds_back_after bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'horizon_blockers';

COMMENT ON FUNCTION message_store.horizon_blockers(varchar) IS
  'The transactions in flight that keep messages of a category (NULL: of any) from being read: the session''s process id (NULL for a prepared transaction, see pg_prepared_xacts), and the global position after which it holds back.';
