//! Whether the lines of a file are in the order of the store that they come from.
//!
//! A store gives a message its position by when it is written. So a line that comes too late would be
//! in another order in the new store, and one that comes twice would count twice.

use std::{
    collections::HashMap,
    collections::hash_map::{Entry, RandomState},
    hash::BuildHasher,
    io::BufRead,
};

use serde::Deserialize;

use super::Problem;

/// Where a message was in the store that it comes from, as far as its line says so.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// In its stream.
    pub position: Option<i64>,
    /// In the whole store.
    pub global_position: Option<i64>,
}

/// A position, and the line that has it.
#[derive(Clone, Copy)]
struct Seen {
    position: i64,
    line: u64,
}

/// Which position does not rise, from which line on, and the repair.
#[derive(Debug)]
pub struct OutOfOrder(pub String);

/// What must rise from line to line: the global position, and the position in each stream.
#[derive(Default)]
pub struct Order {
    global_position: Option<Seen>,
    /// By a hash of 128 bits of the stream's name, which is smaller than the names of millions of
    /// streams.
    positions: HashMap<[u64; 2], Seen>,
    hashes: [RandomState; 2],
}

impl Order {
    /// Takes the next line.
    ///
    /// # Errors
    /// What is not in order. The line counts for nothing then.
    pub fn follow(&mut self, line: u64, stream: &str, place: Place) -> Result<(), OutOfOrder> {
        if let (Some(position), Some(before)) = (place.global_position, self.global_position) {
            rises("\"globalPosition\"", position, before)?;
        }
        if let Some(position) = place.position {
            let hash = self.hashes.each_ref().map(|hash| hash.hash_one(stream));
            let now = Seen { position, line };
            match self.positions.entry(hash) {
                Entry::Vacant(entry) => {
                    entry.insert(now);
                }
                Entry::Occupied(mut entry) => {
                    rises(&format!("\"position\" in {stream}"), position, *entry.get())?;
                    entry.insert(now);
                }
            }
        }
        if let Some(position) = place.global_position {
            self.global_position = Some(Seen { position, line });
        }
        Ok(())
    }
}

fn rises(what: &str, position: i64, before: Seen) -> Result<(), OutOfOrder> {
    if position > before.position {
        return Ok(());
    }
    let Seen {
        position: last,
        line,
    } = before;
    let how = if position == last {
        format!("{what} is {position} again, as in line {line}: leave out what comes twice")
    } else {
        format!("{what} is {position}, after {last} in line {line}: sort the lines by it")
    };
    Err(OutOfOrder(format!(
        "{how}, or take it out of all lines if the file has the order you want"
    )))
}

/// The first line of `input` behind the first `skip_lines` that is not in order. Lines that are not
/// messages are left to whoever reads them as such.
pub fn first_out_of_order(input: &mut dyn BufRead, skip_lines: u64) -> Option<Problem> {
    #[derive(Deserialize)]
    struct Line {
        stream: String,
        #[serde(default)]
        position: Option<i64>,
        #[serde(rename = "globalPosition", default)]
        global_position: Option<i64>,
    }
    let mut order = Order::default();
    let mut buffer = Vec::new();
    let mut number = 0;
    loop {
        buffer.clear();
        number += 1;
        if !matches!(input.read_until(b'\n', &mut buffer), Ok(1..)) {
            return None;
        }
        if number <= skip_lines {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line>(&buffer) else {
            continue;
        };
        let place = Place {
            position: line.position,
            global_position: line.global_position,
        };
        if let Err(OutOfOrder(text)) = order.follow(number, &line.stream, place) {
            return Some(Problem {
                line: number,
                text,
                is_of_order: true,
            });
        }
    }
}
