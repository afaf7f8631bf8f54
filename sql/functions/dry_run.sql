CREATE FUNCTION message_store.dry_run(
  subscriber_id varchar,
  handlers jsonb DEFAULT NULL,
  n bigint DEFAULT 100,
  parked boolean DEFAULT false,
  global_positions bigint[] DEFAULT NULL,
  past_failures boolean DEFAULT false
) RETURNS TABLE (read_model text, difference text, before jsonb, after jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'dry_run_of_0_3';

COMMENT ON FUNCTION message_store.dry_run(varchar, jsonb, bigint, boolean, bigint[], boolean) IS
  'Shows what handlers would change, and changes nothing. Calls them with the next n messages, returns the rows of the declared read-model tables that they would change, and rolls everything back. handlers: NULL means the subscription''s own. parked: takes the first n parked messages instead. global_positions: takes only these parked messages. past_failures: goes on where a handler fails, and returns rows without a read_model too, whose after tells more: failed (a message that fails, with its error), waiting (a message that waits behind one of its stream), handled (how many messages succeed). difference: added, removed, changed. Errors: 42704, 42501, 22023, 42883, 55000 (no read model declared), and, without past_failures, those of the handlers.';
