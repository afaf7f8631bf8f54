CREATE FUNCTION message_store.rebuild(
  subscriber_id varchar,
  side_by_side boolean DEFAULT false
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'rebuild';

COMMENT ON FUNCTION message_store.rebuild(varchar, boolean) IS
  'Replays all messages. In place: empties the declared read model, runs init, and goes back to the start. side_by_side: a second subscription, <subscriber_id>#rebuild, fills copies of the declared tables beside the live ones until promote() is called. Errors: 42704, 42501, 55000 (no read model declared, or a rebuild is under way).';
