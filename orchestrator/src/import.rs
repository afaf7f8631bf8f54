//! Lines of JSON into messages: what a line must be, and the batches that are
//! read from a file while earlier ones are written.

mod order;

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::error::{Error, Result};
use message_store_client::database::NewMessage;
use order::{Order, OutOfOrder, Place};

pub use order::first_out_of_order;

/// Lines in one transaction.
pub const BATCH_LINES: usize = 1000;

/// Batches read ahead of the writer.
const BATCHES_AHEAD: usize = 4;

/// A line as typed, or as `orchestrator export` prints it. Positions and time are the store's to
/// give: those of another store are not kept. Its positions say in which order the lines belong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    stream: String,
    #[serde(rename = "type")]
    message_type: String,
    #[serde(default, deserialize_with = "even_null")]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    position: Option<i64>,
    #[serde(rename = "globalPosition", default)]
    global_position: Option<i64>,
    #[serde(rename = "time", default)]
    _time: Option<String>,
}

/// A `null` that was typed is not a key that is missing.
fn even_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(value).map(Some)
}

/// Messages of one transaction, and the lines they come from.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages, in the order of the file.
    pub messages: Vec<NewMessage>,
    /// The line number of each message, from 1.
    pub lines: Vec<u64>,
    /// The last line read, blank ones included: all before it is accounted for.
    pub last_line: u64,
    /// Bytes read from the file up to here.
    pub bytes: u64,
    /// Lines that cannot be written. The reading ended at the first one, unless told to go on.
    pub problems: Vec<Problem>,
}

/// A line that cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub text: String,
    /// It could be written, but not behind the lines before it.
    pub is_of_order: bool,
}

/// Reads one line's message, and where it was in the store that it comes from.
///
/// # Errors
/// What is wrong with the line.
fn parse_line(line: &str) -> std::result::Result<(NewMessage, Place), String> {
    let line: Line = serde_json::from_str(line).map_err(|error| within_line(&error))?;
    check_names(&line.stream, &line.message_type)?;
    let data = match line.data {
        Some(data) => Some(data).filter(|data| data.get() != "null"),
        None => Some(parse_json("{}")?),
    };
    let place = Place {
        position: line.position,
        global_position: line.global_position,
    };
    let message = NewMessage {
        id: line.id.unwrap_or_else(Uuid::new_v4).to_string(),
        stream: line.stream,
        message_type: line.message_type,
        data,
        metadata: line.metadata.filter(|metadata| metadata.get() != "null"),
        expected_version: None,
    };
    Ok((message, place))
}

/// What is wrong, and at which column: the parser's own line is always the first one.
fn within_line(error: &serde_json::Error) -> String {
    let column = error.column();
    let place = format!(" at line {} column {column}", error.line());
    error
        .to_string()
        .replace(&place, &format!(" at column {column}"))
}

/// Refuses a stream or type that could only be a mistake, before anything is sent.
///
/// # Errors
/// Which one, and what is wrong with it.
pub fn check_names(stream: &str, message_type: &str) -> std::result::Result<(), String> {
    for (name, value) in [("stream", stream), ("type", message_type)] {
        if value.is_empty() {
            return Err(format!("{name:?} is empty"));
        }
        if value.contains('\0') {
            return Err(format!("{name:?} holds a NUL character"));
        }
    }
    Ok(())
}

/// Takes any JSON value, kept as it was typed.
///
/// # Errors
/// Where and why it is not JSON.
pub fn parse_json(text: &str) -> std::result::Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// How a file is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// So many of the first lines are counted, not read.
    pub skip_lines: u64,
    /// Goes on behind a line that cannot be used. Otherwise it ends the reading; those before it
    /// are in the last batch.
    pub keep_going: bool,
}

/// Reads lines on a thread of its own and hands them over in batches.
pub fn read_batches(input: Box<dyn BufRead + Send>, reading: Reading) -> mpsc::Receiver<Batch> {
    let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut reader = Reader {
            input,
            reading,
            order: Order::default(),
            line: 0,
            bytes: 0,
            buffer: Vec::new(),
        };
        loop {
            let (batch, is_last) = reader.next_batch();
            if batches.blocking_send(batch).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

struct Reader {
    input: Box<dyn BufRead + Send>,
    reading: Reading,
    order: Order,
    line: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Reader {
    fn next_batch(&mut self) -> (Batch, bool) {
        let mut batch = Batch {
            last_line: self.line,
            ..Batch::default()
        };
        let mut is_last = false;
        while batch.messages.len() < BATCH_LINES && !is_last {
            match self.next_message() {
                Ok(None) => is_last = true,
                Ok(Some(None)) => batch.last_line = self.line,
                Ok(Some(Some(message))) => {
                    batch.messages.push(message);
                    batch.lines.push(self.line);
                    batch.last_line = self.line;
                }
                Err(Unusable {
                    text,
                    is_of_order,
                    is_the_end,
                }) => {
                    batch.problems.push(Problem {
                        line: self.line,
                        text,
                        is_of_order,
                    });
                    is_last = is_the_end || !self.reading.keep_going;
                    if !is_last {
                        batch.last_line = self.line;
                    }
                }
            }
        }
        batch.bytes = self.bytes;
        (batch, is_last)
    }

    /// `None` at the end; `Some(None)` for a line without a message.
    fn next_message(&mut self) -> std::result::Result<Option<Option<NewMessage>>, Unusable> {
        self.buffer.clear();
        self.line += 1;
        let read = self.input.read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|error| Unusable {
            text: format!("cannot be read: {error}"),
            is_of_order: false,
            is_the_end: true,
        })?;
        if read == 0 {
            return Ok(None);
        }
        self.bytes += read as u64;
        if self.line <= self.reading.skip_lines {
            return Ok(Some(None));
        }
        let text = std::str::from_utf8(&self.buffer)
            .map_err(|_| Unusable::from("is not UTF-8".to_owned()))?;
        // Some editors put a mark before the first character.
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(Some(None));
        }
        let (message, place) = parse_line(text)?;
        self.order.follow(self.line, &message.stream, place)?;
        Ok(Some(Some(message)))
    }
}

/// What is wrong with a line.
struct Unusable {
    text: String,
    is_of_order: bool,
    /// Nothing can be read behind it.
    is_the_end: bool,
}

impl From<String> for Unusable {
    fn from(text: String) -> Self {
        Self {
            text,
            is_of_order: false,
            is_the_end: false,
        }
    }
}

impl From<OutOfOrder> for Unusable {
    fn from(OutOfOrder(text): OutOfOrder) -> Self {
        Self {
            text,
            is_of_order: true,
            is_the_end: false,
        }
    }
}

/// The failure of a load at a line that cannot be used, with how to go on.
pub fn failure(origin: &str, problem: &str, written: u64) -> Error {
    Error::Input {
        origin: origin.to_owned(),
        problem: format!("{problem}; {}", state(written)),
    }
}

/// The same at a line that cannot be used where it is. In a file that was sorted since, the lines that
/// are written are no longer the first ones.
pub fn failure_of(problem: &Problem, origin: &str, written: u64) -> Error {
    if !problem.is_of_order || written == 0 {
        return failure(origin, &problem.text, written);
    }
    Error::Input {
        origin: origin.to_owned(),
        problem: format!(
            "{}; {}: import what is sorted into an empty store, or go on with these lines as they \
             are with --skip-lines {written}",
            problem.text,
            written_lines(written)
        ),
    }
}

/// How far a load has come: what is written is written in whole transactions, up to and including
/// line `written`.
pub fn state(written: u64) -> String {
    let lines = written_lines(written);
    match written {
        0 => lines,
        _ => format!("{lines}; after the repair go on with --skip-lines {written}"),
    }
}

fn written_lines(written: u64) -> String {
    match written {
        0 => "nothing is written".to_owned(),
        1 => "line 1 is written".to_owned(),
        _ => format!("lines 1 to {written} are written"),
    }
}

/// Opens a file, or standard input for `-`; returns its length where known.
///
/// # Errors
/// [`Error::Input`] naming the file.
pub fn open(path: &std::path::Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((unpacked(std::io::stdin()), None));
    }
    let opened = std::fs::File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|error| Error::Input {
        origin: path.display().to_string(),
        problem: format!(
            "cannot be opened: {error}; name a file that can be read, or - for standard input"
        ),
    })?;
    let length = metadata.is_file().then_some(metadata.len());
    Ok((unpacked(file), length))
}

/// What was compressed with gzip, as itself; anything else as it is. A beginning that cannot be read is
/// met again, and told, by whoever reads.
fn unpacked(input: impl Read + Send + 'static) -> Box<dyn BufRead + Send> {
    const BUFFER: usize = 1 << 20;
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut input = BufReader::with_capacity(BUFFER, input);
    match input.fill_buf() {
        Ok(beginning) if beginning.starts_with(&GZIP) => {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input)))
        }
        _ => Box::new(input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: &str, skip_lines: u64) -> Vec<Batch> {
        let keep_going = false;
        read(
            text,
            Reading {
                skip_lines,
                keep_going,
            },
        )
    }

    fn read(text: &str, reading: Reading) -> Vec<Batch> {
        let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        let mut reader = Reader {
            input,
            reading,
            order: Order::default(),
            line: 0,
            bytes: 0,
            buffer: Vec::new(),
        };
        let mut batches = Vec::new();
        loop {
            let (batch, is_last) = reader.next_batch();
            batches.push(batch);
            if is_last {
                return batches;
            }
        }
    }

    const GOOD: &str = r#"{"stream":"viewings-1","type":"VideoViewed","data":{"n":1}}"#;

    #[test]
    fn a_full_line_is_taken_word_for_word() {
        let id = "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11";
        let line = format!(
            r#"{{"stream":"s-1","type":"T","data":{{"n": 1.10}},"metadata":{{"a":1}},"id":"{id}"}}"#
        );
        let (message, _) = parse_line(&line).unwrap();
        assert_eq!((message.id.as_str(), message.stream.as_str()), (id, "s-1"));
        assert_eq!(message.data.unwrap().get(), r#"{"n": 1.10}"#);
        assert_eq!(message.metadata.unwrap().get(), r#"{"a":1}"#);
    }

    #[test]
    fn a_missing_field_a_stranger_and_a_bad_id_are_named() {
        assert!(
            parse_line(r#"{"type":"T"}"#)
                .unwrap_err()
                .contains("stream")
        );
        assert!(
            parse_line(r#"{"stream":"s","type":"T","dat":{}}"#)
                .unwrap_err()
                .contains("dat")
        );
        assert!(
            parse_line(r#"{"stream":"s","type":""}"#)
                .unwrap_err()
                .contains("\"type\"")
        );
        assert!(parse_line(r#"{"stream":"s","type":"T","id":"x"}"#).is_err());
        assert!(parse_line(r#"{"stream":"s","type":"T","data":{}"#).is_err());
    }

    #[test]
    fn good_lines_before_a_bad_one_are_handed_over_with_its_number() {
        let batches = batches(&format!("{GOOD}\n\n{GOOD}\nnonsense\n{GOOD}\n"), 0);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].lines, [1, 3]);
        assert_eq!(batches[0].last_line, 3);
        assert_eq!(problem_lines(&batches[0]), [4]);
    }

    fn problem_lines(batch: &Batch) -> Vec<u64> {
        batch.problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn told_to_go_on_it_hands_over_the_lines_behind_a_bad_one_too() {
        let text = format!("{GOOD}\nnonsense\n{GOOD}\n{{}}\n{GOOD}\n");
        let keep_going = true;
        let batches = read(
            &text,
            Reading {
                keep_going,
                ..Reading::default()
            },
        );
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].lines, [1, 3, 5]);
        assert_eq!(problem_lines(&batches[0]), [2, 4]);
        assert_eq!(batches[0].last_line, 5);
    }

    #[test]
    fn an_exported_line_is_taken_without_its_positions() {
        let line = r#"{"id":"9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11","stream":"s-1","type":"T","position":3,"globalPosition":9,"data":null,"metadata":null,"time":"2026-01-01T00:00:00.000000Z"}"#;
        let (message, place) = parse_line(line).unwrap();
        assert_eq!((place.position, place.global_position), (Some(3), Some(9)));
        assert_eq!(
            (message.stream.as_str(), message.expected_version),
            ("s-1", None)
        );
        assert!(message.data.is_none() && message.metadata.is_none());
    }

    #[test]
    fn data_that_is_missing_is_an_empty_object() {
        let (message, _) = parse_line(r#"{"stream":"s-1","type":"T"}"#).unwrap();
        assert_eq!(message.data.unwrap().get(), "{}");
    }

    /// Lines of streams with their positions and global positions; 0 stands for none.
    fn placed(places: &[(&str, i64, i64)]) -> String {
        let lines = places.iter().map(|(stream, position, global_position)| {
            let key = |name: &str, value: &i64| match value {
                0 => String::new(),
                value => format!(r#","{name}":{value}"#),
            };
            let (position, global_position) = (
                key("position", position),
                key("globalPosition", global_position),
            );
            format!("{{\"stream\":\"{stream}\",\"type\":\"T\"{position}{global_position}}}\n")
        });
        lines.collect()
    }

    #[test]
    fn positions_that_rise_with_gaps_or_are_missing_are_in_order() {
        let text = placed(&[
            ("a", 3, 10),
            ("b", 1, 12),
            ("a", 7, 0),
            ("c", 0, 13),
            ("b", 2, 99),
        ]);
        assert!(batches(&text, 0)[0].problems.is_empty());
        assert_eq!(first_out_of_order(&mut text.as_bytes(), 0), None);
    }

    #[test]
    fn a_position_that_comes_again_or_too_late_is_named_with_the_line_it_should_follow() {
        let again = "is 9 again, as in line 2: leave out";
        let late = "is 8, after 9 in line 2: sort";
        let in_stream = "\"position\" in a is 4, after 5 in line 1: sort";
        for (third, problem) in [
            (("b", 1, 9), format!("\"globalPosition\" {again}")),
            (("b", 1, 8), format!("\"globalPosition\" {late}")),
            (("a", 4, 10), in_stream.to_owned()),
        ] {
            let text = placed(&[("a", 5, 1), ("c", 1, 9), third, ("d", 1, 11)]);
            let batch = &batches(&text, 0)[0];
            assert_eq!(batch.lines, [1, 2]);
            assert_eq!(problem_lines(batch), [3]);
            assert!(batch.problems[0].text.starts_with(&problem), "{batch:?}");
            assert!(batch.problems[0].is_of_order);
            let first = first_out_of_order(&mut text.as_bytes(), 0);
            assert_eq!(first.as_ref(), batch.problems.first());
            assert_eq!(first_out_of_order(&mut text.as_bytes(), 2), None);
        }
    }

    #[test]
    fn told_to_go_on_only_the_line_that_is_out_of_order_is_left_out() {
        let text = placed(&[
            ("a", 5, 5),
            ("b", 1, 3),
            ("b", 1, 6),
            ("a", 5, 7),
            ("a", 6, 7),
        ]);
        let keep_going = true;
        let batches = read(
            &text,
            Reading {
                keep_going,
                ..Reading::default()
            },
        );
        assert_eq!(batches[0].lines, [1, 3, 5]);
        assert_eq!(problem_lines(&batches[0]), [2, 4]);
    }

    #[test]
    fn skipped_lines_keep_their_numbers_and_are_not_even_parsed() {
        let batches = batches(&format!("nonsense\n{GOOD}\n{GOOD}"), 2);
        assert_eq!(batches[0].lines, [3]);
        assert!(batches[0].problems.is_empty());
    }

    #[test]
    fn a_long_file_is_many_batches() {
        let text = format!("{GOOD}\n").repeat(BATCH_LINES * 2 + 1);
        let sizes: Vec<usize> = batches(&text, 0)
            .iter()
            .map(|batch| batch.messages.len())
            .collect();
        assert_eq!(sizes, [BATCH_LINES, BATCH_LINES, 1]);
    }

    #[test]
    fn lines_that_are_written_do_not_become_others_when_the_file_is_sorted() {
        let problem = Problem {
            line: 3,
            text: "late".to_owned(),
            is_of_order: true,
        };
        let text = failure_of(&problem, "-", 2).to_string();
        assert!(
            text.contains("lines 1 to 2 are written: import what is sorted into an empty store")
        );
        let text = failure_of(&problem, "f", 0).to_string();
        assert!(text.ends_with("late; nothing is written"), "{text}");
    }

    #[test]
    fn a_failure_says_where_to_go_on() {
        assert!(
            failure("f", "x", 2000)
                .to_string()
                .contains("--skip-lines 2000")
        );
        assert!(
            failure("f", "x", 0)
                .to_string()
                .contains("nothing is written")
        );
    }
}
