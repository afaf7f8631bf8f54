CREATE FUNCTION message_store.apply_retention(
  max_messages bigint DEFAULT 10000
) RETURNS TABLE (category varchar, deleted bigint, held_back_by varchar)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'apply_retention';

COMMENT ON FUNCTION message_store.apply_retention(bigint) IS
  'Deletes what is older than retain() says, at most max_messages of each category; call it again while one has as many. What a subscription has still to handle or has parked stays; held_back_by names one that is in the way, or the error of a table or trigger that is. No rows while another session applies it. Errors: 22023, 25001.';
