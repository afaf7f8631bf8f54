SELECT rolname, 'has become more' FROM pg_roles
WHERE rolname IN ('m', 'n', 'message_store', 'message_store_admin', 'message_store_viewer')
  AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls);
SELECT roleid::regrole, member::regrole, 'was granted' FROM pg_auth_members
WHERE member IN ('m'::regrole, 'n'::regrole) AND roleid <> 'message_store'::regrole;
SELECT 'code of m ran as another' FROM m.ran_as_another WHERE is_called;
SELECT what, 'was seen' FROM m.seen
