CREATE FUNCTION message_store.delete_category_before(
  category varchar,
  reason varchar,
  before_position bigint DEFAULT NULL,
  before_time timestamptz DEFAULT NULL,
  may_skip boolean DEFAULT false,
  max_messages bigint DEFAULT 10000
) RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'delete_category_before';

COMMENT ON FUNCTION message_store.delete_category_before(varchar, varchar, bigint, timestamptz, boolean, bigint) IS
  'Deletes the messages of a category for good, oldest first, up to the first that is not before a global position, or not before a time, at most max_messages in a call. Returns how many; call it again while that is max_messages. Versions of streams go on where they were. Refuses (55000) what a subscription has still to handle or has parked, unless may_skip. Errors: 22023, 42501, 25001, 55000.';
