//! Histories of batches, made at random, beside a simple model of a store.

use super::{BROKEN_STREAMS, element, store, write};
use promises::{Session, check_property};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

const CASES: u32 = 400;

#[derive(Clone, Debug)]
struct Proposed {
    stream: u8,
    message_type: bool,
    id: Option<u8>,
    /// Off the right version by this much; `None` for no expectation.
    expected_off_by: Option<i64>,
}

#[derive(Clone, Debug)]
struct Proposal {
    messages: Vec<Proposed>,
    ignore: bool,
    rolls_back: bool,
}

fn proposal() -> impl Strategy<Value = Proposal> {
    let off_by = prop_oneof![
        6 => Just(None),
        6 => Just(Some(0)),
        1 => (-2_i64..3).prop_map(Some),
    ];
    let message = (
        0..4_u8,
        any::<bool>(),
        proptest::option::weighted(0.3, 0..40_u8),
        off_by,
    )
        .prop_map(|(stream, message_type, id, expected_off_by)| Proposed {
            stream,
            message_type,
            id,
            expected_off_by,
        });
    (
        proptest::collection::vec(message, 0..8),
        any::<bool>(),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(messages, ignore, rolls_back)| Proposal {
            messages,
            ignore,
            rolls_back,
        })
}

#[derive(Clone, Default)]
struct Model {
    /// Types of a stream's messages.
    streams: BTreeMap<String, Vec<String>>,
    /// Where an id is: stream and position.
    ids: BTreeMap<String, (String, usize)>,
}

impl Model {
    /// Stream, position and whether it is a duplicate, of each; or the SQLSTATE.
    fn write(
        &mut self,
        elements: &[(String, String, Option<String>, Option<i64>)],
        ignore: bool,
    ) -> Result<Vec<(String, usize, bool)>, &'static str> {
        let mut places = Vec::new();
        let mut wrong_version = false;
        for (stream, message_type, id, expected) in elements {
            if let Some((found_in, position)) = id.as_ref().and_then(|id| self.ids.get(id)) {
                let same = found_in == stream && self.streams[stream][*position] == *message_type;
                if !ignore || !same {
                    return Err("23505");
                }
                places.push((stream.clone(), *position, true));
                continue;
            }
            let messages = self.streams.entry(stream.clone()).or_default();
            wrong_version |= expected.is_some_and(|expected| expected != messages.len() as i64 - 1);
            let position = messages.len();
            messages.push(message_type.clone());
            if let Some(id) = id {
                self.ids.insert(id.clone(), (stream.clone(), position));
            }
            places.push((stream.clone(), position, false));
        }
        if wrong_version {
            return Err("P0001");
        }
        Ok(places)
    }
}

#[test]
fn batches_do_what_a_simple_model_does() {
    let runtime = Runtime::new().unwrap();
    let (_database, session) = runtime.block_on(store());
    let histories = proptest::collection::vec(proposal(), 1..12);
    check_property(&runtime, CASES, &histories, async |history| {
        session
            .run("TRUNCATE message_store.messages")
            .await
            .unwrap();
        let mut model = Model::default();
        for proposal in history {
            follow_model(&session, &mut model, &proposal).await?;
        }
        prop_assert_eq!(session.bigint(BROKEN_STREAMS).await, 0);
        let count: usize = model.streams.values().map(Vec::len).sum();
        let written = session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await;
        prop_assert_eq!(written, count as i64);
        Ok(())
    });
}

async fn follow_model(
    session: &Session,
    model: &mut Model,
    proposal: &Proposal,
) -> Result<(), TestCaseError> {
    let mut lengths: BTreeMap<String, i64> = model
        .streams
        .iter()
        .map(|(name, messages)| (name.clone(), messages.len() as i64))
        .collect();
    let elements: Vec<(String, String, Option<String>, Option<i64>)> = proposal
        .messages
        .iter()
        .map(|message| {
            let stream = format!("thing-{}", message.stream);
            let message_type = if message.message_type { "Made" } else { "Done" };
            let id = message
                .id
                .map(|id| format!("00000000-0000-4000-8000-0000000000{id:02}"));
            let length = lengths.entry(stream.clone()).or_default();
            let expected = message.expected_off_by.map(|off_by| *length - 1 + off_by);
            if id.as_ref().is_none_or(|id| !model.ids.contains_key(id)) {
                *length += 1;
            }
            (stream, message_type.to_owned(), id, expected)
        })
        .collect();
    let on_duplicate = if proposal.ignore { "ignore" } else { "error" };
    let as_sql: Vec<String> = elements
        .iter()
        .map(|(stream, message_type, id, expected)| {
            element(stream, message_type, id.as_deref(), *expected)
        })
        .collect();
    let mut after = model.clone();
    let wanted = after.write(&elements, proposal.ignore);
    session.run("BEGIN").await.unwrap();
    let got = session.run(&write(&as_sql, on_duplicate)).await;
    match (&wanted, got) {
        (Ok(wanted), Ok(rows)) => {
            let found: Vec<(String, usize, bool)> = rows
                .iter()
                .map(|row| {
                    let value = |number: usize| row[number].clone().unwrap();
                    (value(1), value(2).parse().unwrap(), value(4) == "t")
                })
                .collect();
            prop_assert_eq!(&found, wanted);
            let ids = elements.iter().map(|(_, _, id, _)| id);
            for (row, id) in rows.iter().zip(ids) {
                prop_assert!(id.is_none() || &row[0] == id);
            }
            let new: Vec<i64> = rows
                .iter()
                .filter(|row| row[4].as_deref() == Some("f"))
                .map(|row| row[3].as_ref().unwrap().parse().unwrap())
                .collect();
            prop_assert!(new.is_sorted_by(|one, next| one < next), "{:?}", new);
            if proposal.rolls_back {
                session.run("ROLLBACK").await.unwrap();
            } else {
                session.run("COMMIT").await.unwrap();
                *model = after;
            }
        }
        (Err(_), Err(error)) => {
            // A batch with several faults may be refused for any of them.
            prop_assert!(
                ["23505", "P0001"].contains(&&*error.sqlstate),
                "{:?}",
                error
            );
            session.run("ROLLBACK").await.unwrap();
        }
        (wanted, got) => {
            return Err(TestCaseError::fail(format!("{wanted:?} but {got:?}")));
        }
    }
    Ok(())
}
