CREATE FUNCTION message_store.ensure_most_watched() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  read_model name := coalesce((message_store.handler_context()).read_model, 'message_store');
BEGIN
  EXECUTE format(
    $sql$
      INSERT INTO %I.read_model_pages (page_name, page_data)
      VALUES ('most-watched', '{"videos": [], "recent": []}')
      ON CONFLICT DO NOTHING
    $sql$,
    read_model);
END
$$;

COMMENT ON FUNCTION message_store.ensure_most_watched() IS
  'Makes the page most-watched where it is missing: {"videos": [], "recent": []}.';
