-- May see every subscription, message and read model of the store, and change nothing.
DO $$
BEGIN
  CREATE ROLE message_store_viewer NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
