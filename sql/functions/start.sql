CREATE FUNCTION message_store.start(
  subscriber_id varchar,
  at_boot boolean DEFAULT false
) RETURNS varchar
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'start';

COMMENT ON FUNCTION message_store.start(varchar, boolean) IS
  'Runs the subscription''s init as its owner, forgets failed attempts, and lets orchestrators tick it; returns the state. at_boot: as an orchestrator that boots calls it, leaves alone what is paused or stopped. Errors: 42704 (no such subscription), 42501.';
