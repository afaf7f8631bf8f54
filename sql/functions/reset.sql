CREATE FUNCTION message_store.reset(
  subscriber_id varchar,
  "position" bigint,
  reason varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'reset';

COMMENT ON FUNCTION message_store.reset(varchar, bigint, varchar) IS
  'Moves a subscription back to a global position, which is then the last one that counts as handled. The read model stays as it is. The reason is kept. Errors: 42704, 42501, 22023.';
