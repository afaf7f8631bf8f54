CREATE FUNCTION message_store.start(subscriber_id varchar) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'start';

COMMENT ON FUNCTION message_store.start(varchar) IS
  'Runs the subscription''s init as its owner and lets orchestrators tick it. Errors: 42704 (no such subscription), 42501.';
