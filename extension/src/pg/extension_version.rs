//! The version of this library beside that of the SQL that declares its functions. They differ
//! from the installation of other files until `ALTER EXTENSION`, and in sessions that began before.

use super::spi::Statement;

/// Of this library.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

static EXTENSION: Statement = Statement::new(
    c"SELECT extversion FROM pg_catalog.pg_extension \
       WHERE extname OPERATOR(pg_catalog.=) 'message_store'",
    &[],
);

/// Of the SQL; none where the functions were declared without the extension.
pub fn installed() -> Option<String> {
    let mut installed = None;
    EXTENSION.run(&[], |row| installed = row.text(0));
    installed
}

/// What to do where the library does not fit SQL of this version.
pub fn repair(extension: &str) -> String {
    match numbers(extension).cmp(&numbers(LIBRARY)) {
        std::cmp::Ordering::Less => "ALTER EXTENSION message_store UPDATE;".to_owned(),
        std::cmp::Ordering::Equal => {
            "Declare the functions as the extension's script does.".to_owned()
        }
        std::cmp::Ordering::Greater => format!(
            "Connect again, or else install the library of {extension}: this session has loaded that \
             of {LIBRARY}."
        ),
    }
}

/// The numbers of a version, to be compared: 0.10.0 is after 0.9.9.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split('.')
        .map(|number| number.parse().unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_extension_is_updated_and_an_older_library_replaced() {
        assert_eq!(repair("0.1.1"), "ALTER EXTENSION message_store UPDATE;");
        assert!(repair("0.100.0").contains("the library of 0.100.0"));
        assert!(repair(LIBRARY).contains("script"));
    }
}
