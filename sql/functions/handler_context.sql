CREATE FUNCTION message_store.handler_context() RETURNS message_store.handler_call
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'handler_context';

COMMENT ON FUNCTION message_store.handler_context() IS
  'Tells the running handler about its call, see the type handler_call. NULL outside a handler.';
