//! What a subscription has not, each a query of subscriber_id, rank, finding and repair over what
//! [`found`](super::found) finds.

/// What is not there: the owner, a function, a table, a schema of the path.
pub(super) const GONE: &str = r#"
    SELECT d.subscriber_id, 1, format('its owner, the role with the oid %s, was dropped', d.owner),
      format('Give it to a role that has what its handlers need: '
        'SELECT message_store.reassign(%L, ''...'');', d.subscriber_id)
    FROM declared d WHERE d.role IS NULL
    UNION ALL
    SELECT w.subscriber_id, 2,
      CASE w.kind WHEN 'table' THEN format('the table %s of its read model does not exist', w.name)
        ELSE format('there is no function %s to use as %s', w.name, w.purpose) END,
      coalesce(
        (SELECT format('There is %s. Name its schema, or give the option search_path.',
           string_agg(CASE o.kind WHEN 'table' THEN o.oid::regclass::text
             ELSE o.oid::regprocedure::text END, ', '))
         FROM things o WHERE o.kind = w.kind AND w.parts[2] IS NULL AND o.name = w.parts[1]
         HAVING count(*) > 0),
        CASE w.kind WHEN 'table' THEN 'Create it, or take it from read_model. Only ordinary tables '
          'can be a read model.' ELSE 'Create it, or name another. A handler takes one argument and '
          'returns no set: (bigint) or (bigint[]) for global positions, (message_store.message) or (message_store.message[]) for '
          'messages. An init function takes none.' END)
    FROM names w
    WHERE NOT EXISTS (SELECT FROM found f WHERE f.subscriber_id = w.subscriber_id
      AND f.kind = w.kind AND f.given = w.name)
    UNION ALL
    SELECT d.subscriber_id, 3, format('its search_path names the schema %s, which does not exist',
        l.name),
      'Create it, or take it from the search_path.'
    FROM declared d JOIN places l USING (subscriber_id)
    WHERE d.options ? 'search_path' AND l.schema IS NULL
      AND l.name NOT IN ('pg_temp', d.role)"#;

/// What the owner may not do: find what is named, call the functions, use the tables and their sequences.
/// What a function does to a table is told by the words in it; what others do that it calls is not seen.
pub(super) const RIGHTS: &str = r#"
    SELECT u.subscriber_id, 3, format('the role %s may not look into the schema %s', u.role, u.nspname),
      CASE u.nspname WHEN 'message_store' THEN format('GRANT message_store TO %I;', u.role)
        ELSE format('GRANT USAGE ON SCHEMA %I TO %I;', u.nspname, u.role) END
    FROM (
      SELECT f.subscriber_id, f.owner, f.role, f.schema, f.nspname FROM found f
      UNION
      SELECT d.subscriber_id, d.owner, d.role, l.schema, l.name
      FROM declared d JOIN places l USING (subscriber_id)
      WHERE d.options ? 'search_path' AND l.schema IS NOT NULL) u
    WHERE NOT has_schema_privilege(u.owner, u.schema, 'USAGE')
    UNION ALL
    SELECT r.subscriber_id, 4, format('the role %s may not call %s', r.role, r.oid::regprocedure),
      CASE WHEN r.nspname = 'message_store'
          AND has_function_privilege((SELECT role FROM store), r.oid, 'EXECUTE')
        THEN format('GRANT message_store TO %I;', r.role)
        ELSE format('GRANT EXECUTE ON FUNCTION %s TO %I;', r.oid::regprocedure, r.role) END
    FROM routines r WHERE NOT has_function_privilege(r.owner, r.oid, 'EXECUTE')
    UNION ALL
    SELECT r.subscriber_id, 4, format('the role %s may not read message_store.messages, as %s does, '
        'which is given positions', r.role, r.oid::regprocedure),
      format('GRANT message_store TO %I;', r.role)
    FROM routines r
    WHERE r.shape IN (1, 2) AND NOT r.is_confined
      AND NOT coalesce(has_schema_privilege(r.owner, to_regnamespace('message_store'), 'USAGE')
        AND (SELECT has_any_column_privilege(r.owner, c.oid, 'SELECT') FROM pg_class c
          WHERE c.relname = 'messages' AND c.relnamespace = to_regnamespace('message_store')), true)
    UNION ALL
    SELECT t.subscriber_id, 5,
      format('the role %s may not %s on %s, a table of the read model', t.role,
        string_agg(v.verb, ', ' ORDER BY v.rank), t.oid::regclass),
      CASE WHEN t.nspname = 'message_store'
          AND bool_and(has_table_privilege((SELECT role FROM store), t.oid, v.verb))
        THEN format('GRANT message_store TO %I;', t.role)
        ELSE format('GRANT %s ON TABLE %s TO %I;', string_agg(v.verb, ', ' ORDER BY v.rank),
          t.oid::regclass, t.role) END
    FROM found t
    CROSS JOIN (VALUES (1, 'SELECT'), (2, 'INSERT'), (3, 'UPDATE'), (4, 'DELETE'), (5, 'TRUNCATE'))
      v (rank, verb)
    WHERE t.kind = 'table'
      AND CASE v.verb
        WHEN 'INSERT' THEN EXISTS (SELECT FROM names w
          WHERE w.subscriber_id = t.subscriber_id AND w.kind = 'handler')
        WHEN 'UPDATE' THEN EXISTS (SELECT FROM routines r WHERE r.subscriber_id = t.subscriber_id
          AND NOT r.is_confined AND r.text ~* '\mupdate\M' IS NOT FALSE)
        WHEN 'TRUNCATE' THEN EXISTS (SELECT FROM routines r WHERE r.subscriber_id = t.subscriber_id
          AND NOT r.is_confined AND r.text ~* '\mtruncate\M')
        ELSE true END
      AND CASE v.verb WHEN 'UPDATE' THEN NOT has_any_column_privilege(t.owner, t.oid, 'UPDATE')
        ELSE NOT has_table_privilege(t.owner, t.oid, v.verb) END
    GROUP BY t.subscriber_id, t.owner, t.role, t.nspname, t.oid
    UNION ALL
    SELECT s.subscriber_id, 6,
      format('the role %s may not use the sequence %s of a table of the read model', s.role,
        s.sequence::regclass),
      format('GRANT %s ON SEQUENCE %s TO %I;', string_agg(s.verb, ', ' ORDER BY s.verb),
        s.sequence::regclass, s.role)
    FROM (
      -- Those that belong to a column are moved on by promote.
      SELECT t.subscriber_id, t.owner, t.role, c.oid AS sequence, v.verb
      FROM filled t
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
        AND d.refobjsubid > 0 AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
      CROSS JOIN (VALUES ('SELECT'), ('UPDATE')) v (verb)
      WHERE NOT has_sequence_privilege(t.owner, c.oid, v.verb)
      UNION
      SELECT t.subscriber_id, t.owner, t.role, c.oid, 'USAGE'
      FROM filled t
      JOIN pg_attrdef a ON a.adrelid = t.oid
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
        AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
      WHERE NOT has_sequence_privilege(t.owner, c.oid, 'USAGE, UPDATE')
        AND NOT EXISTS (SELECT FROM pg_depend own WHERE own.classid = 'pg_class'::regclass
          AND own.objid = c.oid AND own.refclassid = 'pg_class'::regclass
          AND own.refobjid = t.oid AND own.deptype IN ('a', 'i'))) s
    GROUP BY s.subscriber_id, s.role, s.sequence"#;

/// What it may not use that the copies of a rebuild side by side are made of.
pub(super) const COPIES: &str = r#"
    SELECT t.subscriber_id, 7,
      format('the role %s may not use the type %s of a column of %s', t.role,
        coalesce(e.oid, y.oid)::regtype, t.oid::regclass),
      format('GRANT USAGE ON TYPE %s TO %I;', coalesce(e.oid, y.oid)::regtype, t.role)
    FROM filled t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type y ON y.oid = a.atttypid
    LEFT JOIN pg_type e ON e.typarray = y.oid
    WHERE NOT has_type_privilege(t.owner, y.oid, 'USAGE')
    UNION ALL
    SELECT t.subscriber_id, 7,
      format('the role %s may not call %s, which a default, a check or an index of %s does', t.role,
        p.oid::regprocedure, t.oid::regclass),
      format('GRANT EXECUTE ON FUNCTION %s TO %I;', p.oid::regprocedure, t.role)
    FROM filled t
    CROSS JOIN LATERAL (
      SELECT 'pg_attrdef'::regclass::oid, a.oid FROM pg_attrdef a WHERE a.adrelid = t.oid
      UNION ALL
      SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.conrelid = t.oid
      UNION ALL
      SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = t.oid
    ) part (class, oid)
    JOIN pg_depend d ON d.classid = part.class AND d.objid = part.oid
      AND d.refclassid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.refobjid
    WHERE NOT has_function_privilege(t.owner, p.oid, 'EXECUTE')
    UNION ALL
    SELECT t.subscriber_id, 7,
      format('the role %s may not create in the tablespace %s of an index of %s', t.role, b.spcname,
        t.oid::regclass),
      format('GRANT CREATE ON TABLESPACE %I TO %I;', b.spcname, t.role)
    FROM filled t
    JOIN pg_index i ON i.indrelid = t.oid
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_tablespace b ON b.oid = c.reltablespace
    WHERE NOT has_tablespace_privilege(t.owner, b.oid, 'CREATE')"#;

/// Tables that a function names as if they were on the path, and are not.
pub(super) const NAMES: &str = r#"
    SELECT r.subscriber_id, 8,
      format('%s names the table %s without its schema %s, which is not on the search_path (%s)',
        r.oid::regprocedure, t.name, t.nspname, d.path),
      CASE WHEN d.is_in_a_file THEN format('Add to the subscription: search_path = ''%s''', better.path)
        ELSE format('SELECT message_store.alter_subscription(%L, options => %L);', r.subscriber_id,
          jsonb_build_object('search_path', better.path)) END
    FROM routines r
    JOIN declared d USING (subscriber_id)
    JOIN found t ON t.subscriber_id = r.subscriber_id AND t.kind = 'table'
    CROSS JOIN LATERAL (
      SELECT concat_ws(', ', string_agg(DISTINCT quote_ident(o.nspname), ', '), nullif(btrim(d.path), ''))
      FROM found o
      WHERE o.subscriber_id = r.subscriber_id AND o.kind = 'table'
        AND NOT EXISTS (SELECT FROM places l WHERE l.subscriber_id = o.subscriber_id
          AND l.schema = o.schema)) better (path)
    WHERE r.finds_names
      AND NOT EXISTS (SELECT FROM places l WHERE l.subscriber_id = r.subscriber_id
        AND l.schema = t.schema)
      AND r.text ~* ('\m(from|join|into|update|only|table)\s+"?'
        || regexp_replace(t.name, '([][(){}.*+?^$|\\-])', '\\\1', 'g') || '"?(?![\w$"]|\s*\.)')"#;
