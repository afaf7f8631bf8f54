CREATE FUNCTION message_store.horizon(
  category varchar DEFAULT NULL,
  OUT "position" bigint,
  OUT proven_at timestamptz
)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'horizon';

COMMENT ON FUNCTION message_store.horizon(varchar) IS
  'How far readers of a category (NULL: of all messages) may go: no message of it is still to come at or below the global position. proven_at: when that was proven; now, but on a standby, which reads as far as what the primary wrote down and the standby has replayed. Errors: 25001, 55000 (on a standby that nothing has come to).';
