//! What subscriptions name, and what is found under these names.

/// The start of an identifier without quotes, and how it goes on: what is not ASCII is a letter.
const IDENTIFIER: &str = r#"("([^"]|"")+"|[^\x01-\x40\x5b-\x5e\x60\x7b-\x7f][^\x01-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]*)"#;

/// CTEs of all that is asked about `declared`, a query of subscriptions: `names` in them, `places` of
/// their paths, what is `found`, the `routines` of it, and the tables that are `filled`.
pub(super) fn found_sql(declared: &str) -> String {
    format!(
        r#"declared AS ({declared}),
         store AS (SELECT r.oid AS role FROM pg_roles r WHERE r.rolname = 'message_store'),
         places AS (
           SELECT d.subscriber_id, p.place, p.name, n.oid AS schema,
             has_schema_privilege(d.owner, n.oid, 'USAGE') AS is_usable
           FROM declared d
           CROSS JOIN LATERAL (
             SELECT 0 AS place, 'pg_catalog' AS name
             UNION ALL
             SELECT m.place, CASE coalesce(m.part[1], m.part[2]) WHEN '$user' THEN d.role
               ELSE coalesce(replace(m.part[1], '""', '"'), lower(m.part[2])) END
             FROM regexp_matches(d.path, '"((?:[^"]|"")*)"|([^\s,"]+)', 'g')
               WITH ORDINALITY m (part, place)) p
           LEFT JOIN pg_namespace n ON n.nspname = p.name
           WHERE d.role IS NOT NULL),
         names AS (
           SELECT d.subscriber_id, d.owner, d.role, x.kind, x.purpose, x.name,
             CASE WHEN x.name ~ '^{IDENTIFIER}(\.{IDENTIFIER})*(\(.*\))?$'
               THEN parse_ident(x.name, false)::name[] END AS parts
           FROM declared d
           CROSS JOIN LATERAL (
             SELECT 'handler', 'the handler of ' || h.key, h.value
             FROM jsonb_each_text(d.handlers) h
             UNION ALL
             SELECT 'init', 'init', d.options ->> 'init' WHERE d.options ? 'init'
             UNION ALL
             SELECT 'table', 'a table of its read model', coalesce(e ->> 'table', e #>> '{{}}')
             FROM jsonb_array_elements(d.options -> 'read_model') e) x (kind, purpose, name)
           WHERE d.role IS NOT NULL),
         shapes (shape, suffix, type) AS (
           VALUES (1, '(bigint[])', 'bigint[]'::regtype::oid), (2, '(bigint)', 'bigint'::regtype::oid)
           UNION ALL
           SELECT s.* FROM pg_type t
           JOIN pg_namespace n ON n.oid = t.typnamespace AND n.nspname = 'message_store'
           CROSS JOIN LATERAL (
             VALUES (3, '(message_store.message[])', t.typarray), (4, '(message_store.message)', t.oid)) s
           WHERE t.typname = 'message'),
         things AS (
           SELECT 'handler' AS kind, p.oid, p.proname AS name, p.pronamespace AS schema, s.shape, s.suffix
           FROM pg_proc p JOIN shapes s ON p.pronargs = 1 AND p.proargtypes[0] = s.type
           WHERE p.prokind = 'f' AND NOT p.proretset
           UNION ALL
           SELECT 'init', p.oid, p.proname, p.pronamespace, 0, '' FROM pg_proc p
           WHERE p.pronargs = 0 AND p.prokind = 'f' AND NOT p.proretset
           UNION ALL
           SELECT 'table', c.oid, c.relname, c.relnamespace, 0, '' FROM pg_class c WHERE c.relkind = 'r'),
         found AS (
           SELECT DISTINCT ON (w.subscriber_id, w.kind, w.name)
             w.subscriber_id, w.owner, w.role, w.kind, w.name AS given, o.oid, o.name, o.schema,
             n.nspname, o.shape
           FROM names w
           JOIN things o ON o.kind = w.kind AND o.name = w.parts[cardinality(w.parts)]
             AND (w.name NOT LIKE '%)' OR right(w.name, length(o.suffix)) = o.suffix)
           JOIN pg_namespace n ON n.oid = o.schema
           LEFT JOIN places l ON l.subscriber_id = w.subscriber_id AND l.schema = o.schema
           WHERE CASE WHEN cardinality(w.parts) > 1
             THEN n.nspname = w.parts[cardinality(w.parts) - 1] ELSE l.place IS NOT NULL END
           ORDER BY w.subscriber_id, w.kind, w.name, has_schema_privilege(w.owner, o.schema, 'USAGE') DESC,
             o.shape, l.place),
         routines AS (
           SELECT f.*, p.prosecdef AS is_confined, l.lanname IN ('sql', 'plpgsql') AS is_known,
             CASE WHEN l.lanname IN ('sql', 'plpgsql')
               THEN coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) END AS text,
             p.prosqlbody IS NULL AND NOT EXISTS (
               SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search\_path=%') AS finds_names
           FROM found f
           JOIN pg_proc p ON p.oid = f.oid
           JOIN pg_language l ON l.oid = p.prolang
           WHERE f.kind <> 'table'),
         -- A table of which copies are made and filled: an application that fetches fills its own.
         filled AS (
           SELECT t.* FROM found t
           WHERE t.kind = 'table' AND EXISTS (
             SELECT FROM names w WHERE w.subscriber_id = t.subscriber_id AND w.kind = 'handler'))"#
    )
}
