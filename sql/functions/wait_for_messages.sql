CREATE PROCEDURE message_store.wait_for_messages(
  IN after bigint,
  IN timeout interval,
  INOUT last bigint DEFAULT NULL
)
LANGUAGE c
AS 'MODULE_PATHNAME', 'wait_for_messages';

COMMENT ON PROCEDURE message_store.wait_for_messages(bigint, interval, bigint) IS
  'Waits in the server until a global position above the argument after has been drawn, but not longer than timeout. Returns the last position drawn. Holds no snapshot while it waits, so it must be a statement of its own (25001). A position is drawn before its message commits, so tick until the outcome is idle.';
