//! What docs/compatibility.md claims of clients.

use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../../docs/compatibility.md");
/// What begins the table.
const HEADING: &str = "| Client | Protocol | direct | session mode | transaction mode |";
/// Its columns, as the programs are told them.
const PATHS: [&str; 3] = ["direct", "session", "transaction"];
/// What begins the list of what they need.
const NEEDS: &str = "Behind pgbouncer 1.18";

/// A line of the table.
pub struct Row {
    pub client: String,
    pub version: String,
    pub protocol: String,
    /// The operations that are claimed, by path.
    cells: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Row {
    /// The lines of one client.
    pub fn all_of(client: &str) -> Vec<Self> {
        let mut rows = rows();
        rows.retain(|row| row.client == client);
        rows
    }

    pub fn claims_anything(&self, path: &str) -> bool {
        self.cells.contains_key(path)
    }
}

/// The operations that are claimed of a client, by protocol and path.
pub fn cells_of(client: &str) -> BTreeMap<(String, &'static str), Vec<&'static str>> {
    let rows = Row::all_of(client).into_iter().flat_map(|row| {
        let protocol = row.protocol;
        let cells = row.cells.into_iter();
        cells.map(move |(path, operations)| ((protocol.clone(), path), operations))
    });
    rows.collect()
}

/// All lines.
pub fn rows() -> Vec<Row> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with(HEADING));
    let lines = lines.skip(2).take_while(|line| line.starts_with('|'));
    lines.map(parse).collect()
}

fn parse(line: &'static str) -> Row {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [client, protocol, claimed @ ..] = &cells[..] else {
        panic!("no row of the table: {line}");
    };
    let (client, version) = client.rsplit_once(' ').unwrap();
    // A dash claims nothing.
    let claimed = PATHS.into_iter().zip(claimed);
    let claimed = claimed.filter(|(_, cell)| **cell != "-");
    Row {
        client: client.replace('`', ""),
        version: version.to_owned(),
        protocol: (*protocol).to_owned(),
        cells: claimed
            .map(|(path, cell)| (path, cell.split(", ").collect()))
            .collect(),
    }
}

/// Who needs something behind a pooler, and the settings that it needs.
pub fn needs() -> Vec<(String, Vec<String>)> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with(NEEDS));
    let lines = lines.skip_while(|line| !line.starts_with("- "));
    let list: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let items = list.join(" ");
    let items = items.trim_start_matches("- ").split(" - ");
    items
        .map(|item| {
            let (client, needs) = item.split_once(": ").unwrap();
            let quoted = needs.split('`').skip(1).step_by(2);
            (client.replace('`', ""), quoted.map(str::to_owned).collect())
        })
        .collect()
}
