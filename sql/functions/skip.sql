CREATE FUNCTION message_store.skip(
  subscriber_id varchar,
  "position" bigint,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'skip';

COMMENT ON FUNCTION message_store.skip(varchar, bigint, varchar) IS
  'Moves a subscription forward to a global position. Messages up to it count as handled, and no handler is called with them. The reason is kept. Errors: 42704, 42501, 22023.';
