-- What stood here before is not ours: whoever may create in the database could have made the schema,
-- a table with a trigger, or a role, for the superuser's installation to take as its own. Every name
-- is qualified, since the schema that is looked at comes first on the search_path.
DO $$
DECLARE
  repair constant text := 'Drop it, or give it to the role that installs (ALTER ... OWNER TO CURRENT_USER); then CREATE EXTENSION again.';
  found text;
BEGIN
  SELECT pg_catalog.format('schema message_store is there already and belongs to role %I', r.rolname)
  INTO found
  FROM pg_catalog.pg_namespace n
  JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
  WHERE n.nspname OPERATOR(pg_catalog.=) 'message_store'
    AND NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) current_user;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = found, HINT = repair;
  END IF;

  SELECT pg_catalog.format('%s is there already and belongs to role %I',
    pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), r.rolname)
  INTO found
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_shdepend s
    ON s.classid OPERATOR(pg_catalog.=) d.classid AND s.objid OPERATOR(pg_catalog.=) d.objid
   AND s.deptype OPERATOR(pg_catalog.=) 'o'
   AND s.dbid OPERATOR(pg_catalog.=) (
     SELECT b.oid FROM pg_catalog.pg_database b
     WHERE b.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
  JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.refobjid
  WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid
    AND d.refobjid OPERATOR(pg_catalog.=) (
      SELECT n.oid FROM pg_catalog.pg_namespace n
      WHERE n.nspname OPERATOR(pg_catalog.=) 'message_store')
    AND NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) current_user
  LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = found, HINT = repair;
  END IF;

  -- A role belongs to the cluster: another database, or a Message DB, may have made it, and whom it
  -- is granted to is that one's business. But it must be no more than a role.
  SELECT pg_catalog.format('role %I is there already and %s', r.rolname,
    CASE
      WHEN r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
        THEN 'has attributes beyond LOGIN'
      WHEN m.member OPERATOR(pg_catalog.=) r.oid
        THEN pg_catalog.format('is a member of %s', m.roleid::pg_catalog.regrole)
      ELSE pg_catalog.format('%s may grant it', m.member::pg_catalog.regrole)
    END)
  INTO found
  FROM pg_catalog.pg_roles r
  LEFT JOIN pg_catalog.pg_auth_members m
    ON (m.member OPERATOR(pg_catalog.=) r.oid AND NOT (
         r.rolname OPERATOR(pg_catalog.=) 'message_store_admin'
         AND EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.oid OPERATOR(pg_catalog.=) m.roleid
           AND g.rolname OPERATOR(pg_catalog.=) 'message_store')))
    OR (m.roleid OPERATOR(pg_catalog.=) r.oid AND m.admin_option
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.oid OPERATOR(pg_catalog.=) m.member
        AND g.rolsuper))
  WHERE r.rolname OPERATOR(pg_catalog.=) ANY (
      ARRAY['message_store', 'message_store_admin', 'message_store_viewer']::pg_catalog.name[])
    AND (m.roleid IS NOT NULL
      OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls)
  LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = found,
      HINT = 'Take that from it (ALTER ROLE, REVOKE), or drop it; then CREATE EXTENSION again.';
  END IF;
END
$$;

