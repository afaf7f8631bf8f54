CREATE FUNCTION message_store.write_messages(
  messages message_store.new_message[],
  on_duplicate varchar DEFAULT 'error'
) RETURNS SETOF message_store.written_message
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'write_messages';

COMMENT ON FUNCTION message_store.write_messages(message_store.new_message[], varchar) IS
  'Appends messages to their streams, all or none. Returns a row for each, in order. Errors call the first one messages[1]. on_duplicate: error (23505) or ignore. With ignore, a message is left alone if its id is in the log already, in the same stream and with the same type. This is checked before any version. So a retry after a lost reply returns what the first call wrote. id: as given, or a UUID of version 7. In a handler, the id is derived from the subscriber, the handled message and an ordinal, so that nothing is written twice. A handler of a single message also adds causation and correlation to the metadata, see follow. Errors: as write_message, 22023. Streams are taken in the order of their names, so two batches do not deadlock.';
