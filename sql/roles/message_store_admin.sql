-- May see and steer every subscription; has the rights of message_store too.
DO $$
BEGIN
  CREATE ROLE message_store_admin NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
