CREATE FUNCTION message_store.advance_position(target bigint) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'advance_position';

COMMENT ON FUNCTION message_store.advance_position(bigint) IS
  'Leaves out global positions up to a target, unless they were drawn, so that what is written next lies behind it; returns the last position that was drawn or left out. Waits for nobody. 0 only asks. Errors: 22023, 25006.';
