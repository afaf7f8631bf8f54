CREATE FUNCTION message_store.start(
  subscriber_id varchar,
  at_boot boolean DEFAULT false
) RETURNS varchar
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'start_of_0_3';

COMMENT ON FUNCTION message_store.start(varchar, boolean) IS
  'Runs the subscription''s init as its owner, forgets failed attempts, and lets orchestrators tick it. Returns the state. at_boot: leaves a paused or stopped subscription alone. Orchestrators use it when they boot. Errors: 42704 (no such subscription), 42501.';
