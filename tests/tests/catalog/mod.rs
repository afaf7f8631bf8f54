//! What a catalog says of a store, to compare one with another.

use promises::{Rows, Session};

/// What belongs to the store: columns, constraints, indexes, views, grants, comments.
pub const STORE: &str = "
    SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
      pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), obj_description(c.oid),
      array_to_string(ARRAY(SELECT unnest(c.relacl)::text ORDER BY 1), ','),
      CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END,
      CASE WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) END,
      array_to_string(ARRAY(SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
                             WHERE k.conrelid = c.oid ORDER BY 1), ',')
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'message_store'::regnamespace AND c.relkind IN ('r', 'v', 'i')
    ORDER BY c.relname, a.attname";

/// What belongs to the extension, to the last property a user can see.
pub const MEMBERS: &str = "
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS object,
      CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END,
      array_to_string(ARRAY(SELECT unnest(p.proacl)::text ORDER BY 1), ','),
      coalesce(obj_description(p.oid, 'pg_proc'), obj_description(t.oid, 'pg_type')),
      (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
         FROM pg_attribute WHERE attrelid = t.typrelid)
    FROM pg_depend d
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'message_store')
    ORDER BY 1";

/// What pg_dump would take for the extension's own grants, and leave out: none on a user's tables.
const INITIAL_PRIVILEGES: &str = "
    SELECT c.relname, i.initprivs FROM pg_init_privs i JOIN pg_class c ON c.oid = i.objoid
    WHERE i.classoid = 'pg_class'::regclass AND c.relnamespace = 'message_store'::regnamespace";

/// That extension and store are those of the other database, which is of the same PostgreSQL.
pub async fn assert_equals(found: &Session, expected: &Session) {
    for (what, at_least) in [(MEMBERS, 20), (STORE, 20), (INITIAL_PRIVILEGES, 0)] {
        let expected = expected.run(what).await.unwrap();
        assert!(expected.len() >= at_least);
        assert_same(&found.run(what).await.unwrap(), &expected);
    }
}

pub fn assert_same(found: &Rows, expected: &Rows) {
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    let new: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    assert!(found == expected, "missing: {missing:#?}\nnew: {new:#?}");
}
