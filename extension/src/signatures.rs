//! Every function that SQL calls, with its parameters as the Rust side reads them. The tests compare
//! them with `sql/functions/`, and with what `CREATE EXTENSION` made of that.

use crate::pg::call::{Signature, Type};

/// As PostgreSQL prints it.
pub fn sql_type(type_: Type) -> String {
    match type_ {
        Type::Varchar => "character varying".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Bigint => "bigint".to_owned(),
        Type::Bigints => "bigint[]".to_owned(),
        Type::Texts => "text[]".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Jsonb => "jsonb".to_owned(),
        Type::Interval => "interval".to_owned(),
        Type::Timestamptz => "timestamp with time zone".to_owned(),
        Type::Jsonpath => "jsonpath".to_owned(),
        Type::Uuid => "uuid".to_owned(),
        Type::Oid => "oid".to_owned(),
        Type::Composite(name) => format!("message_store.{name}"),
        Type::Composites(name) => format!("message_store.{name}[]"),
    }
}

/// What a router declares and a store does not.
const ROUTERS: [&str; 4] = [
    "ask_shards(",
    "check_function(",
    "merged(",
    "require_alone(",
];

/// What a store declares: symbol, and each parameter's name and type.
pub fn declared_by_store() -> Vec<String> {
    let mut all = declared();
    all.retain(|signature| !ROUTERS.iter().any(|own| signature.starts_with(own)));
    all
}

/// Symbol, and each parameter's name and type.
fn declared() -> Vec<String> {
    let mut all: Vec<String> = inventory::iter::<Signature>()
        .map(|signature| {
            let parameters = signature.parameters.iter();
            let parameters: Vec<String> = parameters
                .map(|known| format!("{} {}", known.name, sql_type(known.type_)))
                .collect();
            format!("{}({})", signature.symbol, parameters.join(", "))
        })
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The parameters of a declaration, without modes of IN and INOUT, defaults, and OUT.
    fn parameters(list: &str) -> String {
        let parameters: Vec<String> = list
            .split(',')
            .map(|parameter| {
                parameter
                    .split(" DEFAULT ")
                    .next()
                    .unwrap_or_default()
                    .trim()
            })
            .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("OUT "))
            .map(|parameter| {
                let parameter = parameter
                    .trim_start_matches("INOUT ")
                    .trim_start_matches("IN ");
                parameter
                    .replace('"', "")
                    .replace("varchar", "character varying")
                    .replace("timestamptz", "timestamp with time zone")
            })
            .collect();
        parameters.join(", ")
    }

    #[test]
    fn the_sql_declares_what_rust_reads() {
        let mut written = Vec::new();
        for file in files("../sql/functions") {
            written.extend(declarations(&file, "'MODULE_PATHNAME', '"));
        }
        written.sort();
        assert_eq!(written, declared_by_store());
    }

    #[test]
    fn a_router_declares_what_rust_reads() {
        let file = files("../router")
            .into_iter()
            .find(|file| file.contains("CREATE SCHEMA"));
        let written = declarations(&file.expect("the script"), "'$libdir/message_store', '");
        let known = declared();
        for own in ROUTERS {
            assert!(written.iter().any(|signature| signature.starts_with(own)));
        }
        for signature in written {
            assert!(known.contains(&signature), "{signature}");
        }
    }

    fn files(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = fs::read_dir(folder).expect("the folder");
        let paths = entries.map(|entry| entry.expect("a file").path());
        paths
            .map(|path| fs::read_to_string(path).expect("its text"))
            .collect()
    }

    /// The functions that `text` declares by a symbol that follows `library`.
    fn declarations(text: &str, library: &str) -> Vec<String> {
        let mut written = Vec::new();
        for declaration in text.split("CREATE ").skip(1) {
            let Some((_, symbol)) = declaration.split_once(library) else {
                continue;
            };
            let symbol = symbol.split('\'').next().unwrap_or_default();
            let (_, list) = declaration.split_once('(').expect("parameters");
            let list = list.split(')').next().unwrap_or_default();
            written.push(format!("{symbol}({})", parameters(list)));
        }
        written
    }
}
