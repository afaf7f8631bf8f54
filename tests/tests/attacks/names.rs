//! No name of ours is found in pg_temp or in a schema of a user's: every function that is written in
//! SQL has a search_path that ends in pg_temp, and every statement in our sources names everything
//! in full, types and operators too.

use std::fs;
use std::path::Path;

use promises::Cluster;

use crate::files_below;

#[tokio::test]
async fn functions_in_sql_look_in_pg_temp_last() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let open = session
        .run(
            "SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
             WHERE p.pronamespace = 'message_store'::regnamespace
               AND (l.lanname <> 'c' OR EXISTS (
                 SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%'))
               AND NOT EXISTS (
                 SELECT FROM unnest(p.proconfig) c
                 WHERE c ~ '^search_path=pg_catalog(, message_store)?, pg_temp$')",
        )
        .await
        .unwrap();
    assert!(open.is_empty(), "not pinned: {open:?}");
}

/// Words before a parenthesis that call nothing of pg_catalog by name.
const SYNTAX: [&str; 20] = [
    "VALUES", "IN", "ANY", "EXISTS", "OPERATOR", "COALESCE", "GREATEST", "LEAST", "ARRAY", "FROM",
    "AND", "OR", "NOT", "WHERE", "SELECT", "CONFLICT", "ON", "AS", "BY", "USING",
];

#[test]
fn statements_in_the_sources_name_everything_in_full() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../extension/src");
    let mut files = files_below(&sources, "rs");
    // Tests speak as users do.
    files.retain(|file| !file.starts_with(sources.join("pg_tests")));
    let mut statements = 0;
    let mut open = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for sql in literals(&text).iter().filter(|text| is_sql(text)) {
            statements += 1;
            for name in unqualified(sql) {
                open.push(format!("{}: {name} in {sql}", file.display()));
            }
        }
    }
    assert!(statements > 70, "only {statements} statements were found");
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn what_is_not_named_in_full_is_found() {
    for (sql, found) in [
        ("SELECT count(*) FROM pg_catalog.pg_class", "count("),
        ("SELECT a FROM message_store.x WHERE a = 1", "="),
        ("SELECT a::text FROM message_store.x", "::text"),
        ("SELECT a || b FROM message_store.x", "||"),
        (
            "SELECT FROM message_store.x WHERE a IS DISTINCT FROM b",
            "IS DISTINCT FROM",
        ),
        (
            "SELECT FROM message_store.x JOIN message_store.y USING (a)",
            "USING (",
        ),
        ("SELECT a FROM pg_class c", "pg_class"),
    ] {
        assert_eq!(unqualified(sql), [found], "{sql}");
    }
    let full = "UPDATE message_store.x SET a = b, c = $1::pg_catalog.int8 \
                WHERE d OPERATOR(pg_catalog.=) ANY ('{=,count(}') AND coalesce(e, f) IS NULL";
    assert!(unqualified(full).is_empty(), "{:?}", unqualified(full));
}

/// The string literals of Rust code, line breaks in them taken out.
fn literals(code: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut literal: Option<String> = None;
    let mut characters = code.chars().peekable();
    while let Some(character) = characters.next() {
        match (&mut literal, character) {
            (None, '/') if characters.peek() == Some(&'/') => {
                while characters.next_if(|next| *next != '\n').is_some() {}
            }
            (None, '\'') => {
                // A character or a lifetime.
                if characters.peek() == Some(&'\\') {
                    characters.nth(1);
                    while characters.next_if(|next| *next != '\'').is_some() {}
                } else {
                    characters.next();
                }
                characters.next_if_eq(&'\'');
            }
            (None, '"') => literal = Some(String::new()),
            (Some(text), '\\') => match characters.next() {
                Some('\n') => while characters.next_if(|next| next.is_whitespace()).is_some() {},
                Some(escaped) => text.push(escaped),
                None => {}
            },
            (Some(_), '"') => literals.extend(literal.take()),
            (Some(text), other) => text.push(other),
            (None, _) => {}
        }
    }
    literals
}

fn is_sql(text: &str) -> bool {
    let verbs = [
        "SELECT ",
        "INSERT INTO ",
        "UPDATE message",
        "DELETE FROM ",
        "WHERE ",
        "($2 IS NULL",
        "AND NOT EXISTS",
        "AND ",
    ];
    let start = text.trim_start();
    let is_sentence = start.contains("(...)") || start.contains("once.");
    verbs.iter().any(|verb| start.starts_with(verb)) && !is_sentence
}

/// A piece of SQL: a word, an operator or a sign; what stands in quotes is left out.
#[derive(Debug, PartialEq)]
enum Piece {
    Word(String),
    Operator(String),
    Sign(char),
    Literal,
}

/// The pieces, and whether a parenthesis follows each at once.
fn pieces(sql: &str) -> Vec<(Piece, bool)> {
    const OPERATORS: &str = "=<>+-*/|@~&^%!#?:";
    let characters: Vec<char> = sql.chars().collect();
    let run = |at: usize, of: &dyn Fn(char) -> bool| {
        let length = characters[at.min(characters.len())..]
            .iter()
            .position(|next| !of(*next));
        length.map_or(characters.len(), |length| at + length)
    };
    let is_word = |next: char| next.is_alphanumeric() || "_$\"".contains(next);
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < characters.len() {
        let start = at;
        let piece = match characters[at] {
            '\'' => {
                at = run(at + 1, &|next| next != '\'') + 1;
                Piece::Literal
            }
            // What Rust puts in is a name in full, or an expression of its own.
            '{' => {
                at = run(at, &|next| next != '}') + 1;
                Piece::Word("{}".to_owned())
            }
            character if is_word(character) => {
                at = run(at, &is_word);
                Piece::Word(characters[start..at].iter().collect())
            }
            character if OPERATORS.contains(character) => {
                at = run(at, &|next| OPERATORS.contains(next));
                Piece::Operator(characters[start..at].iter().collect())
            }
            character => {
                at += 1;
                Piece::Sign(character)
            }
        };
        if !matches!(piece, Piece::Sign(' ' | '\n')) {
            pieces.push((piece, characters.get(at) == Some(&'(')));
        }
    }
    pieces
}

/// What stands in a statement without its schema.
fn unqualified(sql: &str) -> Vec<String> {
    let pieces = pieces(sql);
    let word = |at: usize| match pieces.get(at) {
        Some((Piece::Word(word), _)) => word.as_str(),
        _ => "",
    };
    let is_sign = |at: usize, sign| {
        let piece = pieces.get(at);
        piece.is_some_and(|(one, _)| *one == Piece::Sign(sign))
    };
    let mut found = Vec::new();
    let mut assigns = false;
    for (at, (piece, calls)) in pieces.iter().enumerate() {
        let before = at.wrapping_sub(1);
        match piece {
            Piece::Word(this) => {
                let ends_assignments = matches!(this.as_str(), "WHERE" | "FROM" | "RETURNING");
                assigns = this == "SET" || (assigns && !ends_assignments);
                let is_keyword = SYNTAX.contains(&this.to_uppercase().as_str());
                if *calls && !is_sign(before, '.') && !is_keyword && this != "{}" {
                    found.push(format!("{this}("));
                }
                if this == "USING" && is_sign(at + 1, '(') {
                    found.push("USING (".to_owned());
                }
                if this == "DISTINCT" && word(before) == "IS" {
                    found.push("IS DISTINCT FROM".to_owned());
                }
                let names_a_relation = matches!(this.as_str(), "FROM" | "JOIN" | "INTO")
                    && word(before) != "DISTINCT"
                    && !matches!(word(at + 1), "" | "LATERAL" | "ONLY" | "ROWS" | "{}");
                if names_a_relation && !is_sign(at + 2, '.') {
                    found.push(word(at + 1).to_owned());
                }
            }
            Piece::Operator(operator) if operator == "::" => {
                if !matches!(word(at + 1), "pg_catalog" | "message_store") {
                    found.push(format!("::{}", word(at + 1)));
                }
            }
            Piece::Operator(operator) => {
                let is_in_full =
                    is_sign(before, '.') && word(before.wrapping_sub(1)) == "pg_catalog";
                let is_first = is_sign(before, '(');
                let is_star = operator == "*"
                    && (is_first || is_sign(before, '.') || word(before) == "SELECT");
                let is_number = operator == "-" && is_first && word(at + 1).parse::<i64>().is_ok();
                let is_syntax = operator == "=>" || (operator == "=" && assigns);
                if !is_in_full && !is_star && !is_number && !is_syntax {
                    found.push(operator.clone());
                }
            }
            Piece::Sign(_) | Piece::Literal => {}
        }
    }
    found
}
