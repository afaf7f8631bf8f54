CREATE FUNCTION message_store.continue_from(
  subscriber_id varchar,
  position_stream varchar
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'continue_from';

COMMENT ON FUNCTION message_store.continue_from(varchar, varchar) IS
  'Lets a subscription continue where another program stopped. Takes the position that the program saved last in position_stream, and returns it. The book saves in subscriberPosition-<subscriberId>, in messages Read. Eventide saves in <category>:position-<consumerId>, in messages Recorded. Errors: 42704, 42501, 22023 (no position there).';
