CREATE FUNCTION message_store.write_messages(
  messages message_store.new_message[],
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages';

COMMENT ON FUNCTION message_store.write_messages(message_store.new_message[], varchar) IS
  'Writes messages to the ends of their streams, all or none, and returns a row for each, in order. Element 1 is messages[1] in errors. on_duplicate: error (23505), or ignore, which leaves a message alone whose id is in the log already, in the same stream and with the same type, before any version is checked: a retry after a lost reply returns what the first one wrote. Ids: given, or UUIDs of version 7; in a handler derived from subscriber, handled message and ordinal, so that nothing is written twice, and a handler of a single message adds causation and correlation to the metadata, see follow. Errors: as write_message, 22023. Streams are taken in the order of their names, so two batches do not deadlock.';
