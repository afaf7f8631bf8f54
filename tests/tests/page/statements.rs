//! The statements of a block of SQL, as a person would paste them: one after the other.

/// Takes a block apart behind each line that ends a statement.
pub fn statements(block: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut is_in_body = false;
    for line in block.lines() {
        let statement = statements.last_mut().unwrap();
        statement.push_str(line);
        statement.push('\n');
        is_in_body ^= line.matches("$$").count() % 2 == 1;
        let code = line.split("--").next().unwrap_or_default().trim_end();
        let ends = [";", r"\gset", r"\gexec"];
        if !is_in_body && ends.iter().any(|end| code.ends_with(end)) {
            statements.push(String::new());
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

#[test]
fn a_statement_ends_where_psql_would_run_it() {
    let block = "SELECT 1;   -- one; and only\n\nSELECT 2\n  AS two \\gset\n\
                 CREATE FUNCTION f() AS $$\n  SELECT 3;\n$$;\nSELECT 4;";
    let expected = [
        "SELECT 1;   -- one; and only\n",
        "\nSELECT 2\n  AS two \\gset\n",
        "CREATE FUNCTION f() AS $$\n  SELECT 3;\n$$;\n",
        "SELECT 4;\n",
    ];
    assert_eq!(statements(block), expected);
}
