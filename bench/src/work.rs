//! The works that can be measured. A new one is a file in `works/` and a line here.

use crate::bench::Bench;
use crate::comparison::Comparison;
use crate::works::{
    carry, catch_up, cost, growth, latency, mixed, one_stream, pages, read_category, read_group,
    read_stream, removal, shards, subscriptions, write, write_batch,
};

/// Something to measure.
pub struct Work {
    /// What it is called on the command line, and what its files are called.
    pub name: &'static str,
    /// What it measures, as a heading.
    pub title: &'static str,
    /// Measures it.
    pub run: fn(&Bench) -> Vec<Comparison>,
}

/// All of them, in the order in which they run.
pub const WORKS: &[Work] = &[
    Work {
        name: "write",
        title: "Writes, one message a transaction",
        run: write::run,
    },
    Work {
        name: "write_batch",
        title: "Batches of 1,000 messages, a transaction each",
        run: write_batch::run,
    },
    Work {
        name: "one_stream",
        title: "Writes to one stream by all who expect its version",
        run: one_stream::run,
    },
    Work {
        name: "read_stream",
        title: "Reads of one message of a stream",
        run: read_stream::run,
    },
    Work {
        name: "read_category",
        title: "Reads of a category",
        run: read_category::run,
    },
    Work {
        name: "read_group",
        title: "Reads by a member of a consumer group, and of correlated messages",
        run: read_group::run,
    },
    Work {
        name: "catch_up",
        title: "A subscription that catches up with the log",
        run: catch_up::run,
    },
    Work {
        name: "latency",
        title: "From a commit to the read model",
        run: latency::run,
    },
    Work {
        name: "subscriptions",
        title: "Writers beside subscriptions",
        run: subscriptions::run,
    },
    Work {
        name: "carry",
        title: "Subscriptions that a core carries",
        run: carry::run,
    },
    Work {
        name: "mixed",
        title: "Writers and subscriptions together, with some room",
        run: mixed::run,
    },
    Work {
        name: "removal",
        title: "Messages deleted beside writers",
        run: removal::run,
    },
    Work {
        name: "shards",
        title: "Two shards behind a router",
        run: shards::run,
    },
    Work {
        name: "growth",
        title: "What a call costs as the log grows",
        run: growth::run,
    },
    Work {
        name: "pages",
        title: "Pages over 20 million messages, with 100 subscriptions",
        run: pages::run,
    },
    Work {
        name: "cost",
        title: "What one message costs, whatever the machine",
        run: cost::run,
    },
];

/// The works of these names, all where there is none. The error names every name that no work has.
pub fn choose(names: &[String]) -> Result<Vec<&'static Work>, String> {
    if names.is_empty() {
        return Ok(WORKS.iter().collect());
    }
    let find = |name: &String| WORKS.iter().find(|work| work.name == name);
    let unknown: Vec<&str> = names
        .iter()
        .filter(|name| find(name).is_none())
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return Ok(names.iter().filter_map(find).collect());
    }
    let known: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
    Err(format!(
        "no such work: {}; there are {}",
        unknown.join(", "),
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Result<Vec<&'static str>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        choose(&names).map(|works| works.iter().map(|work| work.name).collect())
    }

    #[test]
    fn no_name_means_all_works_in_their_order() {
        assert_eq!(chosen(&[]).unwrap().len(), WORKS.len());
        assert_eq!(
            chosen(&["catch_up", "write"]).unwrap(),
            ["catch_up", "write"]
        );
    }

    #[test]
    fn every_unknown_name_is_named_in_one_line_beside_those_there_are() {
        let error = chosen(&["read", "write", "sing"]).unwrap_err();
        assert!(error.starts_with("no such work: read, sing; there are write, "));
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn a_name_is_that_of_one_work() {
        for work in WORKS {
            let same = WORKS.iter().filter(|other| other.name == work.name);
            assert_eq!(same.count(), 1, "{}", work.name);
        }
    }
}
