CREATE FUNCTION message_store.deleted_up_to(source varchar) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'deleted_up_to';

COMMENT ON FUNCTION message_store.deleted_up_to(varchar) IS
  'The highest global position that was deleted of what a category, a stream or $all held; 0 where nothing was. A read model that begins before it cannot be made anew without a baseline.';
