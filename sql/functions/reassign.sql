CREATE FUNCTION message_store.reassign(
  subscriber_id varchar,
  owner varchar
) RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'reassign';

COMMENT ON FUNCTION message_store.reassign(varchar, varchar) IS
  'Gives a subscription another owner, with whose rights its handlers run from the next tick on. The position stays. owner: a role that the caller is a member of, and that may call the handlers. The caller has the rights of the present owner as well, or that role was dropped and the caller is a member of message_store_admin. Errors: 42704, 42501, 22023, 42883, 55000 (a rebuild side by side is under way).';
