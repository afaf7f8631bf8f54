CREATE FUNCTION message_store.handler_context() RETURNS message_store.handler_call
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'handler_context';

COMMENT ON FUNCTION message_store.handler_context() IS
  'Inside a handler: what it may know of its call. NULL elsewhere.';
