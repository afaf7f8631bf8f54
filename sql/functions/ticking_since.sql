-- Who is no superuser does not see when a session of another role began something. Of a session that
-- ticks, it is everybody's business who may look at subscriptions.
CREATE FUNCTION message_store.ticking_since(process integer) RETURNS timestamptz
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT a.xact_start
  FROM pg_catalog.pg_stat_activity a
  WHERE a.pid OPERATOR(pg_catalog.=) process
    AND EXISTS (
      SELECT FROM pg_catalog.pg_locks l
      WHERE l.pid OPERATOR(pg_catalog.=) process AND l.locktype OPERATOR(pg_catalog.=) 'advisory'
        AND l.objsubid OPERATOR(pg_catalog.=) 19540 AND l.granted)
$$;

COMMENT ON FUNCTION message_store.ticking_since(integer) IS
  'The beginning of the transaction in which a session ticks a subscription, by its process id (holder in subscription_status). NULL if that session ticks none.';
