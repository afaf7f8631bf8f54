-- A store that is there is brought up to date as well, as its owner, so that nobody has to call
-- create_store() before subscriptions go on. What a script of an extension makes or grants counts as
-- the extension's. So the relations join it for as long as that takes, and leave it again: the tables
-- are the user's. Where this is but a step on the way to a later version, the last step does it.
DO $$
DECLARE
  who name := pg_catalog.current_setting('role');
  store_owner name := (
    SELECT pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('message_store.messages')
      AND c.relkind OPERATOR(pg_catalog.=) 'r');
  membership CONSTANT text := $sql$
    SELECT pg_catalog.format('ALTER EXTENSION message_store %s %s message_store.%I',
      CASE WHEN is_member THEN 'DROP' ELSE 'ADD' END,
      CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE 'SEQUENCE' END, c.relname)
    FROM pg_catalog.pg_class c, LATERAL (
      SELECT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')
    ) AS member (is_member)
    WHERE c.relnamespace OPERATOR(pg_catalog.=) 'message_store'::pg_catalog.regnamespace
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,v,S}'::pg_catalog."char"[])
      AND is_member OPERATOR(pg_catalog.=) $1
  $sql$;
  statement text;
BEGIN
  IF store_owner IS NULL OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_available_extensions e
    WHERE e.name OPERATOR(pg_catalog.=) 'message_store'
      AND e.default_version OPERATOR(pg_catalog.=) '0.4.0')
  THEN
    RETURN;
  END IF;
  -- In the order in which queries and ticks lock them, so that none of them and we wait for each
  -- other: first the views, by an alteration that changes nothing, then what a tick opens first.
  FOR statement IN
    SELECT CASE c.relkind
      WHEN 'v' THEN pg_catalog.format('ALTER VIEW message_store.%I OWNER TO %I',
        c.relname, pg_catalog.pg_get_userbyid(c.relowner))
      ELSE 'LOCK TABLE message_store.subscriptions IN ACCESS EXCLUSIVE MODE' END
    FROM pg_catalog.pg_class c
    WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY[
        pg_catalog.to_regclass('message_store.parked_messages'),
        pg_catalog.to_regclass('message_store.subscription_status'),
        pg_catalog.to_regclass('message_store.subscriptions')]::pg_catalog.oid[])
      AND (c.relkind OPERATOR(pg_catalog.=) 'v'
        OR c.relname OPERATOR(pg_catalog.=) 'subscriptions')
    ORDER BY c.relkind DESC, c.relname
  LOOP
    EXECUTE statement;
  END LOOP;
  FOR statement IN EXECUTE membership USING false LOOP
    EXECUTE statement;
  END LOOP;
  EXECUTE pg_catalog.format('SET LOCAL ROLE %I', store_owner);
  PERFORM message_store.create_store();
  EXECUTE pg_catalog.format('SET LOCAL ROLE %I', who);
  FOR statement IN EXECUTE membership USING true LOOP
    EXECUTE statement;
  END LOOP;
END
$$;
