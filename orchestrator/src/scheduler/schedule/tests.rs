//! The rules, played through without a clock.

use super::*;

fn row(id: &str, group_size: i64) -> Started {
    Started {
        subscriber_id: id.to_owned(),
        source: "viewings".to_owned(),
        group_size,
        batch_size: 1000,
        row: format!("({id},viewings,{group_size},1000)"),
    }
}

/// Four connections, and one subscription that is due.
fn with_one(group_size: i64) -> (Schedule, Instant) {
    let mut schedule = Schedule::new(4);
    schedule.list(vec![row("a", group_size)]);
    (schedule, Instant::now())
}

fn finish(schedule: &mut Schedule, outcome: Outcome, now: Instant) {
    let job = schedule.take(now).expect("nothing is due");
    schedule.finish(&job, ticked(outcome), now);
}

/// A tick that read as much as it may.
fn ticked(outcome: Outcome) -> Ticked {
    Ticked {
        outcome,
        scanned: 1000,
        retry_in: None,
    }
}

/// A tick that read all there was.
fn took_all() -> Ticked {
    Ticked {
        scanned: 999,
        ..ticked(Outcome::Progressed)
    }
}

/// How long until something is due by itself.
fn pause(schedule: &Schedule, now: Instant) -> Option<u128> {
    let moment = schedule.next_moment()?;
    Some((moment - now).as_millis())
}

#[test]
fn progress_ticks_again_at_once_and_idle_waits_for_a_wake_up() {
    let (mut schedule, now) = with_one(1);
    finish(&mut schedule, Outcome::Progressed, now);
    finish(&mut schedule, Outcome::Idle, now);
    assert!(schedule.take(now).is_none());
    assert_eq!(schedule.next_moment(), None);
    schedule.wake(now);
    assert!(schedule.take(now).is_some());
    assert!(schedule.take(now).is_none(), "one tick at a time");
}

#[test]
fn one_that_took_all_there_was_rests_and_then_looks_whatever_woke_meanwhile() {
    let (mut schedule, now) = with_one(1);
    let job = schedule.take(now).unwrap();
    schedule.finish(&job, took_all(), now);
    schedule.wake(now);
    assert!(schedule.take(now).is_none());
    assert_eq!(pause(&schedule, now), Some(1));
    schedule.expire(now + Duration::from_millis(1));
    assert!(schedule.take(now).is_some());
}

#[test]
fn those_that_take_all_there_is_share_a_thousand_ticks_a_second() {
    for count in [1, 10, 100] {
        let mut schedule = Schedule::new(4);
        schedule.list((0..count).map(|n| row(&n.to_string(), 1)).collect());
        let start = Instant::now();
        let mut ticks = 0;
        // In tenths of a millisecond; the first second finds the pace.
        for tenth in 0..20_000 {
            let now = start + Duration::from_micros(100 * tenth);
            schedule.expire(now);
            schedule.wake(now);
            while let Some(job) = schedule.take(now) {
                ticks += u32::from(tenth >= 10_000);
                schedule.finish(&job, took_all(), now);
            }
        }
        assert!(
            (950..=1050).contains(&ticks),
            "{count} subscriptions: {ticks}"
        );
    }
}

#[test]
fn a_group_does_not_rest_while_other_members_may_find_messages() {
    let (mut schedule, now) = with_one(2);
    let job = schedule.take(now).unwrap();
    schedule.finish(&job, took_all(), now);
    assert!(schedule.take(now).is_some());
}

#[test]
fn a_wake_up_during_a_tick_leads_to_another() {
    let (mut schedule, now) = with_one(1);
    let job = schedule.take(now).unwrap();
    schedule.wake(now);
    schedule.finish(&job, ticked(Outcome::Idle), now);
    finish(&mut schedule, Outcome::Idle, now);
    assert!(schedule.take(now).is_none());
}

#[test]
fn held_back_pauses_double_to_their_limit_and_start_over_after_progress() {
    let (mut schedule, mut now) = with_one(1);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        finish(&mut schedule, Outcome::HeldBack, now);
        schedule.wake(now);
        assert!(
            schedule.take(now).is_none(),
            "a wake-up frees nothing held back"
        );
        pauses.push(pause(&schedule, now).unwrap());
        now = schedule.next_moment().unwrap();
        schedule.expire(now);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 50, 50]);
    finish(&mut schedule, Outcome::Progressed, now);
    finish(&mut schedule, Outcome::HeldBack, now);
    assert_eq!(pause(&schedule, now), Some(1));
}

#[test]
fn busy_goes_elsewhere_and_comes_back() {
    let (mut schedule, now) = with_one(1);
    schedule.list(vec![row("a", 1), row("b", 1)]);
    finish(&mut schedule, Outcome::Busy, now);
    let other = schedule.take(now).unwrap();
    assert_eq!(&*other.subscriber_id, "b");
    assert_eq!(pause(&schedule, now), Some(100));
}

#[test]
fn a_retry_waits_for_its_moment_whatever_is_written() {
    let (mut schedule, now) = with_one(1);
    let job = schedule.take(now).unwrap();
    let retry_in = Some(Duration::from_millis(700));
    schedule.finish(
        &job,
        Ticked {
            retry_in,
            ..ticked(Outcome::Retrying)
        },
        now,
    );
    schedule.wake(now);
    schedule.expire(now + Duration::from_millis(699));
    assert!(schedule.take(now).is_none());
    schedule.expire(now + Duration::from_millis(700));
    assert!(schedule.take(now).is_some());
}

#[test]
fn what_is_stopped_or_paused_waits_for_the_list() {
    for outcome in [Outcome::Stopped, Outcome::Paused] {
        let (mut schedule, now) = with_one(1);
        finish(&mut schedule, outcome, now);
        schedule.wake(now);
        schedule.probe(10, now);
        assert!(schedule.take(now).is_none());
        assert_eq!(schedule.list(Vec::new()).removed.len(), 1);
        assert_eq!(schedule.list(vec![row("a", 1)]).added, [row("a", 1)]);
        assert!(schedule.take(now).is_some());
    }
}

#[test]
fn a_changed_row_is_due_and_an_unchanged_one_is_not() {
    let (mut schedule, now) = with_one(1);
    finish(&mut schedule, Outcome::Idle, now);
    assert_eq!(schedule.list(vec![row("a", 1)]), Changes::default());
    assert!(schedule.take(now).is_none());
    assert_eq!(schedule.list(vec![row("a", 2)]), Changes::default());
    assert!(schedule.take(now).is_some());
}

#[test]
fn one_that_was_dropped_during_its_tick_may_come_back() {
    let (mut schedule, now) = with_one(1);
    let job = schedule.take(now).unwrap();
    schedule.list(Vec::new());
    schedule.list(vec![row("a", 1)]);
    schedule.finish(&job, ticked(Outcome::Progressed), now);
    let job = schedule.take(now).unwrap();
    schedule.list(Vec::new());
    schedule.finish(&job, ticked(Outcome::Progressed), now);
    assert!(schedule.take(now).is_none());
    assert!(schedule.entries.is_empty());
}

#[test]
fn one_that_comes_back_while_it_is_due_is_ticked_once_at_a_time() {
    let (mut schedule, now) = with_one(1);
    schedule.list(Vec::new());
    schedule.list(vec![row("a", 1)]);
    assert!(schedule.take(now).is_some());
    assert!(schedule.take(now).is_none());
}

#[test]
fn a_group_gets_more_ticks_at_a_time_while_they_progress() {
    let (mut schedule, now) = with_one(8);
    let first = schedule.take(now).unwrap();
    assert!(schedule.take(now).is_none());
    schedule.finish(&first, ticked(Outcome::Progressed), now);
    let mut running = vec![schedule.take(now).unwrap(), schedule.take(now).unwrap()];
    assert!(schedule.take(now).is_none());
    for _ in 0..10 {
        schedule.finish(&running.remove(0), ticked(Outcome::Progressed), now);
        while let Some(job) = schedule.take(now) {
            running.push(job);
        }
    }
    assert_eq!(running.len(), 4, "no more than there are connections");
    for job in &running {
        schedule.finish(job, ticked(Outcome::Idle), now);
    }
    schedule.wake(now);
    assert!(schedule.take(now).is_some());
    assert!(schedule.take(now).is_none(), "one looks first");
}

#[test]
fn a_long_tick_of_a_group_gets_others_beside_it() {
    let (mut schedule, now) = with_one(2);
    let long = schedule.take(now).unwrap();
    assert_eq!(pause(&schedule, now), Some(5));
    schedule.expire(now + Duration::from_millis(5));
    finish(&mut schedule, Outcome::Idle, now);
    assert_eq!(schedule.next_moment(), None, "nothing to help with");
    schedule.wake(now);
    finish(&mut schedule, Outcome::Progressed, now);
    finish(&mut schedule, Outcome::Idle, now);
    schedule.finish(&long, ticked(Outcome::Idle), now);
    assert_eq!(schedule.entries["a"].running, 0);
}

#[test]
fn a_failing_member_holds_up_no_other() {
    let (mut schedule, now) = with_one(2);
    finish(&mut schedule, Outcome::Progressed, now);
    let (failing, well) = (schedule.take(now).unwrap(), schedule.take(now).unwrap());
    let retry_in = Some(Duration::from_secs(30));
    schedule.finish(
        &failing,
        Ticked {
            retry_in,
            ..ticked(Outcome::Retrying)
        },
        now,
    );
    schedule.finish(&well, ticked(Outcome::Idle), now);
    assert_eq!(pause(&schedule, now), Some(30_000));
    schedule.wake(now);
    assert!(schedule.take(now).is_some());
}

#[test]
fn turns_are_taken() {
    let (mut schedule, now) = with_one(1);
    schedule.list(vec![row("a", 1), row("b", 1)]);
    let mut turns = String::new();
    for _ in 0..6 {
        let job = schedule.take(now).unwrap();
        turns.push_str(&job.subscriber_id);
        schedule.finish(&job, ticked(Outcome::Progressed), now);
    }
    assert_eq!(turns, "ababab");
}

#[test]
fn probes_go_to_those_that_rested_longest_and_end_long_pauses() {
    let mut schedule = Schedule::new(4);
    schedule.list(["a", "b", "c"].map(|id| row(id, 1)).to_vec());
    let mut now = Instant::now();
    for _ in 0..3 {
        now += Duration::from_secs(1);
        let job = schedule.take(now).unwrap();
        let retry_in = Some(Duration::from_secs(30));
        let outcome = match &*job.subscriber_id {
            "b" => Outcome::Retrying,
            _ => Outcome::Idle,
        };
        schedule.finish(
            &job,
            Ticked {
                retry_in,
                ..ticked(outcome)
            },
            now,
        );
    }
    schedule.probe(2, now);
    let probed = [schedule.take(now), schedule.take(now)].map(|job| job.unwrap().subscriber_id);
    assert_eq!(probed.map(|id| id.to_string()), ["a", "b"]);
    assert!(schedule.take(now).is_none());
}

#[test]
fn a_lost_connection_waits_for_a_wake_up_and_a_refusal_does_not() {
    for (failure, is_woken) in [(Failure::ConnectionLost, true), (Failure::Refused, false)] {
        let (mut schedule, now) = with_one(1);
        let job = schedule.take(now).unwrap();
        schedule.fail(&job, failure, Duration::from_millis(500), now);
        assert_eq!(pause(&schedule, now), Some(500));
        schedule.wake(now);
        assert_eq!(schedule.take(now).is_some(), is_woken);
    }
}

#[test]
fn of_many_those_that_find_nothing_take_turns_and_the_others_do_not_wait_for_them() {
    let mut schedule = Schedule::new(4);
    let count = 100;
    schedule.list((0..count).map(|n| row(&n.to_string(), 1)).collect());
    let start = Instant::now();
    let mut ticks = HashMap::<Arc<str>, u32>::new();
    for ms in 0..1_000 {
        let now = start + Duration::from_millis(ms);
        schedule.expire(now);
        schedule.wake(now);
        while let Some(job) = schedule.take(now) {
            *ticks.entry(job.subscriber_id.clone()).or_default() += 1;
            let is_busy = &*job.subscriber_id == "7" && ticks["7"] % 2 == 1;
            let outcome = if is_busy {
                Outcome::Progressed
            } else {
                Outcome::Idle
            };
            schedule.finish(&job, ticked(outcome), now);
        }
    }
    assert_eq!(ticks.len(), count);
    assert_eq!(ticks.remove("7"), Some(2_000));
    assert!(ticks.values().all(|ticks| *ticks == 10), "{ticks:?}");
    let quiet = start + Duration::from_secs(5);
    schedule.expire(quiet);
    schedule.wake(quiet);
    assert_eq!(schedule.due.len(), count, "after a pause nobody waits");
}
