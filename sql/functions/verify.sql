CREATE FUNCTION message_store.verify(
  subscriber_id varchar,
  all_columns boolean DEFAULT false
) RETURNS TABLE (read_model text, difference text, expected jsonb, found jsonb)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'verify_of_0_3';

COMMENT ON FUNCTION message_store.verify(varchar, boolean) IS
  'Checks a read model against the log. Replays all messages into scratch copies of the declared tables, compares, and drops the copies. Returns a row for each row that differs from the live one. difference: missing, unexpected, different. Parked and discarded messages are left out. all_columns: also compares columns that the database fills by itself, such as identities, serials and now(). Errors: 42704, 42501, 55000 (no read model declared), and those of the handlers.';
