CREATE FUNCTION message_store.continue_from(
  subscriber_id varchar,
  position_stream varchar
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'continue_from';

COMMENT ON FUNCTION message_store.continue_from(varchar, varchar) IS
  'Continues where another program stopped: takes the position that it saved last in position_stream (subscriberPosition-<subscriberId>, messages Read, of the book; <category>:position-<consumerId>, messages Recorded, of Eventide) and returns it. Errors: 42704, 42501, 22023 (no position there).';
