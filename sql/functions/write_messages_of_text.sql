CREATE FUNCTION message_store.write_messages(
  stream_name varchar,
  messages varchar
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages_of_text';

COMMENT ON FUNCTION message_store.write_messages(varchar, varchar) IS
  'Is write_messages(stream_name, messages jsonb) for JSON text. Without it, a call with two arguments of no type, such as write_messages(''account-1'', ''[{"type": "Opened"}]''), would be ambiguous (42725).';
