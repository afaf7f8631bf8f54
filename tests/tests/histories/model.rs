//! The model: the read model is a plain fold over the log, and nothing else.

use super::definition::{ANSWERS, Definition, Duties};
use super::ledger::Ledger;
use super::step::{Call, Subject};
use super::world::{Open, Outcome};
use promises::{Rows, Session};
use std::collections::{BTreeMap, BTreeSet};

/// Everything there is to see, each row with what it is.
const LOOK: &str = "
    SELECT 'message', global_position, stream_name, type,
           metadata ->> 'correlationStreamName' IS NOT NULL
      FROM message_store.messages ORDER BY global_position;
    SELECT 'member', subscriber_id, member, group_size, drains_until, position
      FROM message_store.subscription_progress;
    SELECT 'parked', subscriber_id, global_position, stream_name, status, holds_stream, attempts
      FROM message_store.parked;
    SELECT 'subscription', subscriber_id, state, start_position, copy_schema
      FROM message_store.subscriptions WHERE subscriber_id NOT IN ('nested', 'outside');
    SELECT 'entity', stream, total, list FROM rm.entities";

/// What there is besides, where handlers do more.
const LOOK_AT_DUTIES: &str = "
    SELECT 'answer', metadata ->> 'to', metadata ->> 'ordinal'
      FROM message_store.messages WHERE stream_name = 'answer';
    SELECT 'new', c.position, m.stream_name
      FROM rm.calls c JOIN message_store.messages m ON m.global_position = c.position
     WHERE NOT c.is_replay;
    SELECT 'nested', position FROM rm.nested ORDER BY seq";

/// What applications have handled, where they fetch.
const LOOK_OUTSIDE: &str =
    "SELECT 'outside', stream, position FROM rm.handled_outside ORDER BY seq";

/// A message of the log.
pub struct Message {
    pub position: i64,
    pub stream: String,
    kind: String,
    is_correlated: bool,
}

impl Message {
    fn is_wanted(&self, definition: &Definition) -> bool {
        definition.wants(&self.stream, &self.kind, self.is_correlated)
    }

    fn is_fetched(&self, definition: &Definition) -> bool {
        let outside = definition.outside.as_ref();
        outside.is_some_and(|outside| outside.reads(&self.stream))
    }
}

/// A row of progress.
struct Member {
    subscriber: String,
    number: i64,
    group_size: i64,
    drains_until: Option<i64>,
    position: i64,
}

/// A message put aside.
struct Parked {
    subscriber: String,
    position: i64,
    stream: String,
    status: String,
    holds_stream: bool,
    attempts: i64,
}

/// The state of everything at one moment.
#[derive(Default)]
pub struct Seen {
    pub log: Vec<Message>,
    members: Vec<Member>,
    parked: Vec<Parked>,
    states: BTreeMap<String, String>,
    start_position: i64,
    /// The read model: of each stream the messages handled.
    lists: BTreeMap<String, Vec<i64>>,
    /// The copy's.
    copied: Option<BTreeMap<String, Vec<i64>>>,
    /// Which messages were answered, by position and number, in order.
    answers: Vec<(i64, i64)>,
    /// Messages that were handled as new ones, but for answers.
    new: BTreeSet<i64>,
    /// What `nested` was given.
    nested: Vec<i64>,
    /// Of each stream the messages that applications have handled.
    outside: BTreeMap<String, Vec<i64>>,
}

fn number(text: Option<&String>) -> i64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn numbers(array: &str) -> Vec<i64> {
    let inner = array.trim_matches(['{', '}']);
    inner
        .split(',')
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// The lists of a read model; the total must be their length.
fn entities(rows: &Rows) -> BTreeMap<String, Vec<i64>> {
    let mut lists = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row[0].as_deref() == Some("entity"))
    {
        let list = numbers(row[3].as_deref().unwrap_or_default());
        let total = number(row[2].as_ref());
        assert_eq!(total, list.len() as i64, "the total of {:?}", row[1]);
        if !list.is_empty() {
            lists.insert(row[1].clone().unwrap_or_default(), list);
        }
    }
    lists
}

impl Seen {
    /// Looks, as the superuser, at what is committed. A call that is held may have dropped the copy,
    /// whose tables nobody else can look at then.
    pub async fn look(watch: &Session, held: Option<&Open>, ledger: &Ledger) -> Self {
        let mut rows = watch.run(LOOK).await.unwrap();
        let Duties { answers, ticks } = ledger.duties;
        if answers || ticks {
            rows.extend(watch.run(LOOK_AT_DUTIES).await.unwrap());
        }
        if ledger.outside.is_some() {
            rows.extend(watch.run(LOOK_OUTSIDE).await.unwrap());
        }
        let mut seen = Self::default();
        let mut copies = None;
        let call = held.and_then(|open| open.call.as_ref());
        let is_dropped = matches!(call, Some((Call::Promote | Call::CancelRebuild, _)));
        for row in &rows {
            let text = |at: usize| row[at].clone().unwrap_or_default();
            match row[0].as_deref() {
                Some("message") => seen.log.push(Message {
                    position: number(row[1].as_ref()),
                    stream: text(2),
                    kind: text(3),
                    is_correlated: text(4) == "t",
                }),
                Some("member") => seen.members.push(Member {
                    subscriber: text(1),
                    number: number(row[2].as_ref()),
                    group_size: number(row[3].as_ref()),
                    drains_until: row[4].as_ref().map(|_| number(row[4].as_ref())),
                    position: number(row[5].as_ref()),
                }),
                Some("parked") => seen.parked.push(Parked {
                    subscriber: text(1),
                    position: number(row[2].as_ref()),
                    stream: text(3),
                    status: text(4),
                    holds_stream: text(5) == "t",
                    attempts: number(row[6].as_ref()),
                }),
                Some("subscription") => {
                    seen.states.insert(text(1), text(2));
                    seen.start_position = number(row[3].as_ref());
                    copies = copies.or_else(|| row[4].clone());
                }
                Some("answer") => {
                    let answer = (number(row[1].as_ref()), number(row[2].as_ref()));
                    seen.answers.push(answer);
                }
                Some("new") if text(2) != ANSWERS => {
                    seen.new.insert(number(row[1].as_ref()));
                }
                Some("nested") => seen.nested.push(number(row[1].as_ref())),
                Some("outside") => {
                    let of_stream = seen.outside.entry(text(1)).or_default();
                    of_stream.push(number(row[2].as_ref()));
                }
                _ => {}
            }
        }
        seen.answers.sort_unstable();
        seen.lists = entities(&rows);
        if let Some(schema) = copies.filter(|_| !is_dropped) {
            let sql = format!("SELECT 'entity', stream, total, list FROM \"{schema}\".entities");
            seen.copied = Some(entities(&watch.run(&sql).await.unwrap()));
        }
        seen
    }

    /// Whether there is a copy beside the live one.
    pub fn has_copy(&self) -> bool {
        self.copied.is_some()
    }

    /// How far the messages of a stream are dealt with.
    fn reached(&self, subject: Subject, stream: &str, ledger: &Ledger) -> Outcome<i64> {
        let members = self
            .members
            .iter()
            .filter(|member| member.subscriber == subject.id());
        let (old, new): (Vec<_>, Vec<_>) = members.partition(|member| member.number < 0);
        let size = new.len() as i64;
        let of = |number: i64| new.iter().find(|member| member.number == number);
        let Some(member) = of(ledger.member_of(stream, size.max(1))) else {
            return Err(format!("{} has no member for {stream}", subject.id()));
        };
        if new
            .iter()
            .any(|member| member.group_size != size || member.drains_until.is_some())
        {
            return Err(format!("the members of {} do not agree", subject.id()));
        }
        let Some(first) = old.first() else {
            return Ok(member.position);
        };
        let until = first.drains_until.unwrap_or_default();
        if new.iter().any(|member| member.position != until) {
            return Err("a member of the new size moved before the old ones ended".to_owned());
        }
        let number = -1 - ledger.member_of(stream, first.group_size);
        let own = old.iter().find(|member| member.number == number);
        Ok(own.map_or(until, |member| member.position.min(until)))
    }

    /// The fold: what each stream's list must be.
    fn expected(
        &self,
        subject: Subject,
        definition: &Definition,
        ledger: &Ledger,
    ) -> Outcome<BTreeMap<String, Vec<i64>>> {
        let parked: BTreeSet<i64> = self
            .parked
            .iter()
            .filter(|parked| parked.subscriber == subject.id())
            .map(|parked| parked.position)
            .collect();
        let mut lists: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for message in &self.log {
            let is_wanted = match subject {
                Subject::Outside => message.is_fetched(definition),
                _ => message.position > self.start_position && message.is_wanted(definition),
            };
            let is_ours = is_wanted && !parked.contains(&message.position);
            if is_ours && message.position <= self.reached(subject, &message.stream, ledger)? {
                lists
                    .entry(message.stream.clone())
                    .or_default()
                    .push(message.position);
            }
        }
        Ok(lists)
    }

    /// What must hold at every moment.
    pub fn check(&self, definition: &Definition, ledger: &Ledger) -> Outcome<()> {
        let live = self.expected(Subject::Live, definition, ledger)?;
        compare("the read model", &self.lists, &live, definition, ledger)?;
        if let Some(copied) = &self.copied {
            let mut copied = copied.clone();
            let mut expected = self.expected(Subject::Copy, definition, ledger)?;
            // Whether the copy came to a message before the live one discarded it is open.
            for lists in [&mut copied, &mut expected] {
                for list in lists.values_mut() {
                    list.retain(|position| !ledger.discarded.contains(position));
                }
                lists.retain(|_, list| !list.is_empty());
            }
            compare("the copy", &copied, &expected, definition, ledger)?;
        }
        self.check_parked(ledger)?;
        if definition.duties.answers {
            self.check_answers()?;
        }
        if definition.duties.ticks {
            self.check_nested()?;
        }
        if definition.outside.is_some() {
            self.check_outside(definition, ledger)?;
        }
        self.check_states(ledger)
    }

    /// Every message that was handled as a new one is answered in full, and once.
    fn check_answers(&self) -> Outcome<()> {
        let of = |position: i64| (0..=position % 4).map(move |ordinal| (position, ordinal));
        let expected: Vec<(i64, i64)> = self.new.iter().copied().flat_map(of).collect();
        if self.answers == expected {
            return Ok(());
        }
        Err(format!("answers: {:?}, not {expected:?}", self.answers))
    }

    /// The subscription that handlers tick has handled what it says, in order.
    fn check_nested(&self) -> Outcome<()> {
        let member = self
            .members
            .iter()
            .find(|member| member.subscriber == "nested");
        let reached = member.map_or(0, |member| member.position);
        let expected: Vec<i64> = self
            .log
            .iter()
            .map(|message| message.position)
            .filter(|position| *position <= reached)
            .collect();
        if self.nested == expected {
            return Ok(());
        }
        Err(format!("nested: {:?}, not {expected:?}", self.nested))
    }

    /// Applications have handled all that is acknowledged, in order.
    fn check_outside(&self, definition: &Definition, ledger: &Ledger) -> Outcome<()> {
        let mut expected = self.expected(Subject::Outside, definition, ledger)?;
        let mut found = self.outside.clone();
        // Where a message is discarded while an application has it, the application decides.
        let discarded = self.discarded_outside();
        for lists in [&mut found, &mut expected] {
            for list in lists.values_mut() {
                list.retain(|position| !discarded.contains(position));
            }
            lists.retain(|_, list| !list.is_empty());
        }
        if found == expected {
            return Ok(());
        }
        Err(format!("outside: {found:?}, not {expected:?}"))
    }

    fn discarded_outside(&self) -> BTreeSet<i64> {
        let parked = self.parked.iter().filter(|parked| {
            parked.subscriber == Subject::Outside.id() && parked.status == "discarded"
        });
        parked.map(|parked| parked.position).collect()
    }

    /// At the end: applications have handled every message but those discarded.
    pub fn check_complete_outside(&self, definition: &Definition, ledger: &Ledger) -> Outcome<()> {
        self.check_outside(definition, ledger)?;
        let handled: BTreeSet<i64> = self.outside.values().flatten().copied().collect();
        let discarded = self.discarded_outside();
        let left = self.log.iter().find(|message| {
            message.is_fetched(definition)
                && !handled.contains(&message.position)
                && !discarded.contains(&message.position)
        });
        left.map_or(Ok(()), |message| {
            Err(format!("no application was given {}", message.position))
        })
    }

    /// The last position of the log.
    pub fn last_position(&self) -> i64 {
        self.log.last().map_or(0, |message| message.position)
    }

    /// What is parked is parked with reason, and holds its stream.
    fn check_parked(&self, ledger: &Ledger) -> Outcome<()> {
        let mut discarded = BTreeSet::new();
        for parked in &self.parked {
            let Parked {
                position, status, ..
            } = parked;
            let is_live = parked.subscriber == Subject::Live.id();
            let is_outside = parked.subscriber == Subject::Outside.id();
            let (subject, lists) = if is_live {
                (Subject::Live, Some(&self.lists))
            } else if is_outside {
                (Subject::Outside, Some(&self.outside))
            } else {
                (Subject::Copy, self.copied.as_ref())
            };
            let handled = lists.and_then(|lists| lists.get(&parked.stream));
            let reached = self.reached(subject, &parked.stream, ledger)?;
            match status.as_str() {
                "replaying" if *position <= reached => {
                    return Err(format!("{position} is still to be replayed, at {reached}"));
                }
                "replaying" => continue,
                "discarded" => {
                    if is_live {
                        discarded.insert(*position);
                    }
                    continue;
                }
                _ => {}
            }
            if *position > reached {
                return Err(format!("{position} is parked ({status}), at {reached}"));
            }
            let kinds = ledger.poisoned.get(position);
            let faults = ["raise", "deferred", "flaky"];
            let at_fault =
                kinds.is_some_and(|kinds| faults.iter().any(|kind| kinds.contains(kind)));
            // What waits behind one that is due is due as well.
            let has_failed = status == "failed" || parked.attempts > 0;
            if has_failed && !at_fault && !is_outside {
                return Err(format!("{position} is parked ({status}) without fault"));
            }
            // One that is due and has failed has attempts left.
            let retries = if is_outside { 0 } else { ledger.retries };
            if status == "failed" && parked.attempts <= retries {
                return Err(format!(
                    "{position} was parked after {} attempts",
                    parked.attempts
                ));
            }
            if !ledger.parks && !is_outside {
                return Err(format!("{position} is parked against the policy"));
            }
            let passed = handled.is_some_and(|list| list.iter().any(|other| other > position));
            let reorders = ledger.reorders && !is_outside;
            if parked.holds_stream && passed && !reorders {
                return Err(format!(
                    "a later message of its stream passed {position} ({status})"
                ));
            }
        }
        if discarded != ledger.discarded {
            return Err(format!(
                "discarded: {discarded:?}, not {:?}",
                ledger.discarded
            ));
        }
        Ok(())
    }

    fn check_states(&self, ledger: &Ledger) -> Outcome<()> {
        for (subscriber, state) in &self.states {
            let can_fail = ["raise", "deferred", "flaky"];
            let mut kinds = ledger.poisoned.values().flatten();
            if state == "stopped"
                && !ledger.was_stopped
                && !kinds.any(|kind| can_fail.contains(kind))
            {
                return Err(format!("{subscriber} stopped without reason"));
            }
        }
        Ok(())
    }

    /// After a tick that said there is nothing to do.
    pub fn is_idle(&self, definition: &Definition, ledger: &Ledger) -> Outcome<()> {
        let failed: BTreeSet<&str> = self
            .parked
            .iter()
            .filter(|parked| parked.status == "failed" && parked.holds_stream)
            .map(|parked| parked.stream.as_str())
            .collect();
        for parked in self
            .parked
            .iter()
            .filter(|parked| parked.subscriber == "subject")
        {
            let is_due = parked.status == "retry"
                || (parked.status == "waiting" && !failed.contains(parked.stream.as_str()));
            if is_due {
                return Err(format!(
                    "idle, and {} is parked ({})",
                    parked.position, parked.status
                ));
            }
        }
        for message in self
            .log
            .iter()
            .filter(|message| message.is_wanted(definition))
        {
            let reached = self.reached(Subject::Live, &message.stream, ledger)?;
            if reached < message.position {
                return Err(format!(
                    "idle at {reached}, before message {}",
                    message.position
                ));
            }
        }
        Ok(())
    }

    /// At the end: every message but those discarded is handled. Returns the messages.
    pub fn check_complete(
        &self,
        definition: &Definition,
        ledger: &Ledger,
    ) -> Outcome<BTreeSet<i64>> {
        self.check(definition, ledger)?;
        if let Some(parked) = self
            .parked
            .iter()
            .find(|parked| parked.subscriber != "outside" && parked.status != "discarded")
        {
            return Err(format!(
                "{} is still parked ({})",
                parked.position, parked.status
            ));
        }
        let wanted: BTreeSet<i64> = self
            .log
            .iter()
            .filter(|message| message.position > self.start_position)
            .filter(|message| message.is_wanted(definition))
            .map(|message| message.position)
            .filter(|position| !ledger.discarded.contains(position))
            .collect();
        let handled: BTreeSet<i64> = self.lists.values().flatten().copied().collect();
        if wanted != handled {
            return Err(format!("handled at the end: {handled:?}, not {wanted:?}"));
        }
        Ok(handled)
    }
}

/// Compares lists; where order was given up, as sets.
fn compare(
    what: &str,
    found: &BTreeMap<String, Vec<i64>>,
    expected: &BTreeMap<String, Vec<i64>>,
    definition: &Definition,
    ledger: &Ledger,
) -> Outcome<()> {
    let streams: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    for stream in streams {
        let list =
            |lists: &BTreeMap<String, Vec<i64>>| lists.get(stream).cloned().unwrap_or_default();
        let (found, expected) = (list(found), list(expected));
        let sorted = |mut list: Vec<i64>| {
            list.sort_unstable();
            list
        };
        // A message parked alone is handled after later ones; all others stay in order.
        let never_failed = |list: &[i64]| -> Vec<i64> {
            let has_not = |position: &&i64| !ledger.poisoned.contains_key(position);
            list.iter().filter(has_not).copied().collect()
        };
        let is_right = if !definition.keeps_order() {
            sorted(found.clone()) == expected
        } else if ledger.reorders {
            sorted(found.clone()) == expected && never_failed(&found) == never_failed(&expected)
        } else {
            found == expected
        };
        if !is_right {
            return Err(format!("{what}: {stream} has {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}
