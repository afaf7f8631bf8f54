-- Roles belong to the cluster: another database, or a Message DB, may have made this one.
DO $$
BEGIN
  CREATE ROLE message_store LOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
