//! What `CREATE EXTENSION` made.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use crate::signatures;
    use pgrx::pg_test;

    #[pg_test]
    fn every_function_has_the_parameters_that_rust_reads() {
        let mut made = rows(
            "SELECT format('%s(%s)', p.prosrc, (
               SELECT string_agg(format('%s %s', p.proargnames[a.number], format_type(a.type, NULL)),
                                 ', ' ORDER BY a.number)
               FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a (type, number)))
             FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
             WHERE p.pronamespace = 'message_store'::regnamespace AND l.lanname = 'c'",
        );
        made.sort();
        assert_eq!(made, signatures::declared_by_store());
    }

    #[pg_test]
    fn the_version_of_the_library_is_that_of_the_extension() {
        let extension = text("SELECT extversion FROM pg_extension WHERE extname = 'message_store'");
        assert_eq!(extension, env!("CARGO_PKG_VERSION"));
    }
}
