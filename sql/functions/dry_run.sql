CREATE FUNCTION message_store.dry_run(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  n bigint DEFAULT 100,
  parked boolean DEFAULT false,
  global_positions bigint[] DEFAULT NULL
) RETURNS TABLE (read_model text, difference text, before jsonb, after jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'dry_run';

COMMENT ON FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[]) IS
  'Lets handlers (NULL: its own) handle the next n messages, or the first n parked ones (of global_positions where they are given, which means parked ones), and returns the rows of the declared read-model tables this would change; then takes it all back. difference: added, removed, changed. Errors: 42704, 42501, 22023, 42883, 55000 (no read model declared), and those of handlers.';
