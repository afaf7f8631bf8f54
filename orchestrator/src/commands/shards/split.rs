//! `orchestrator shards split`: every shard becomes two.
//!
//! Each step can be repeated, and says by itself whether it is done: a shard knows what it is, a standby
//! whether it is one, a router by which map it asks.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    cli::ShardsSplitArgs,
    commands::table::print_text,
    config::Delivery,
    error::{Error, Result},
    retry::Retry,
};
use message_store_client::{
    connection::Target,
    database::{Session, Shard},
};

/// The pause between two looks how far a standby is.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a standby may take to show what its shard has become.
const REPLAY: Duration = Duration::from_secs(120);
/// How long a promotion may take.
const PROMOTION: Duration = Duration::from_secs(60);
/// How much longer than a deletion took the next one waits.
const REST: u32 = 4;
/// Every global position.
const ALL: (i64, i64) = (1, i64::MAX);
/// Why the epoch of a promotion lacks nothing.
const CONFIRMED: &str = "orchestrator shards split: what moves had arrived";

/// A shard and its standby.
struct Pair {
    number: i64,
    shard: Session,
    standby: Session,
}

/// What all shards are to be.
struct Plan {
    before: i64,
    map: i64,
    addresses: Vec<String>,
}

impl Plan {
    fn after(&self) -> i64 {
        self.before * 2
    }

    fn shard(&self, number: i64) -> Shard {
        Shard {
            number: Some(number),
            count: self.after(),
            map: self.map,
            addresses: self.addresses.clone(),
        }
    }
}

pub(super) async fn split(args: &ShardsSplitArgs) -> Result<()> {
    let (plan, pairs, routers) = look(args).await?;
    if args.dry_run {
        return print_text(&format!(
            "It can be done: {} shards would become {}, by map {}. Nothing was changed.",
            plan.before,
            plan.after(),
            plan.map
        ));
    }
    let began = Instant::now();
    for pair in &pairs {
        fence(pair, &plan, args).await?;
    }
    // Asked when the new map can be seen everywhere: who had the old one until then may have read so far.
    let mut drawn = 0;
    for pair in &pairs {
        drawn = drawn.max(pair.shard.drawn_position().await?);
    }
    for pair in &pairs {
        promote(pair, &plan, drawn).await?;
    }
    for router in &routers {
        router.use_shards(&plan.addresses, plan.map).await?;
    }
    print_text(&format!(
        "{} shards are {} now, {:.1} s after the first was told. What has moved is deleted where it was; a \
         read model of which all shards' are summed counts twice until it is rebuilt on each of them.",
        plan.before,
        plan.after(),
        began.elapsed().as_secs_f64()
    ))?;
    for pair in &pairs {
        delete_moved(&pair.standby, &plan.shard(pair.number + plan.before)).await?;
        require_arrived(pair, &plan).await?;
        delete_moved(&pair.shard, &plan.shard(pair.number)).await?;
    }
    print_text("Each shard has its own messages only.")
}

/// Connects to all, and makes sure that each is what it is said to be.
async fn look(args: &ShardsSplitArgs) -> Result<(Plan, Vec<Pair>, Vec<Session>)> {
    let count = args.shards.len();
    if args.standbys.len() != count || args.addresses.len() != count {
        return Err(refused(
            format!(
                "{count} shards, {} standbys and {} addresses are named",
                args.standbys.len(),
                args.addresses.len()
            ),
            "Name as many of each, in the same order.",
        ));
    }
    let before = count as i64;
    let mut routers = Vec::new();
    for url in &args.routers {
        routers.push(connect(url, "--router").await?);
    }
    let mut pairs = Vec::new();
    let mut map = 0;
    let mut known = Vec::new();
    for (number, (shard, standby)) in args.shards.iter().zip(&args.standbys).enumerate() {
        let pair = Pair {
            number: number as i64,
            shard: connect(shard, "--shard").await?,
            standby: connect(standby, "--standby").await?,
        };
        let is = place_of(&pair.shard, "--shard", number).await?;
        if is.number != Some(pair.number) || (is.count != before && is.count != 2 * before) {
            return Err(refused(
                format!(
                    "--shard number {number} is shard {} of {}",
                    is.number.unwrap_or(-1),
                    is.count
                ),
                "Name every shard, in the order of their numbers.",
            ));
        }
        // This command has been here before, or somebody else.
        if is.count != before && is.addresses.get(count..) != Some(&args.addresses[..]) {
            return Err(refused(
                format!("shard {number} has grown already, with other addresses"),
                "Name all shards that there are now, with a standby for each.",
            ));
        }
        let target = is.map + i64::from(is.count == before);
        if map != 0 && target != map {
            return Err(refused(
                format!(
                    "shard {number} has map {}, and another one a map that does not go with it",
                    is.map
                ),
                "Look at the table shard of each.",
            ));
        }
        map = target;
        known = is.addresses;
        look_at_standby(&pair, args).await?;
        pairs.push(pair);
    }
    known.truncate(count);
    if known.len() < count {
        return Err(refused(
            "the shards do not know where they all are".to_owned(),
            "SELECT message_store.become_shard(number, shards, map, addresses); with all addresses on each.",
        ));
    }
    let addresses = [known, args.addresses.clone()].concat();
    let plan = Plan {
        before,
        map,
        addresses,
    };
    Ok((plan, pairs, routers))
}

async fn look_at_standby(pair: &Pair, args: &ShardsSplitArgs) -> Result<()> {
    let number = pair.number;
    if pair.shard.identity().await? != pair.standby.identity().await? {
        return Err(refused(
            format!(
                "--standby number {number} has not the same server and database as shard {number}"
            ),
            "Name a streaming standby of that shard (pg_basebackup), and the same database.",
        ));
    }
    let end = pair.shard.log_position().await?;
    match pair.standby.missing_up_to(&end).await? {
        Some(bytes) if bytes.unsigned_abs() > args.max_behind => Err(refused(
            format!("--standby number {number} is {bytes} bytes behind"),
            "Wait until it has caught up, or give --max-behind: what moves cannot be written meanwhile.",
        )),
        // All servers of a store that has grown come from one.
        Some(_) => match place_of(&pair.standby, "--standby", number as usize)
            .await?
            .number
        {
            Some(its) if its == number => Ok(()),
            its => Err(refused(
                format!(
                    "--standby number {number} is a standby of shard {}",
                    its.unwrap_or(-1)
                ),
                "Name the standbys in the order of their shards.",
            )),
        },
        // It was promoted by this command before, or it never was a standby.
        None => {
            let is = place_of(&pair.standby, "--standby", number as usize).await?;
            let before = args.shards.len() as i64;
            let is_ours = is.count == 2 * before
                && (is.number == Some(number) || is.number == Some(number + before));
            match is_ours {
                true => Ok(()),
                false => Err(refused(
                    format!("--standby number {number} is no standby"),
                    "Name a streaming standby of that shard (pg_basebackup).",
                )),
            }
        }
    }
}

/// From here on the shard refuses what moves away.
async fn fence(pair: &Pair, plan: &Plan, args: &ShardsSplitArgs) -> Result<()> {
    let patience = Duration::from_millis(args.lock_timeout_ms);
    let mut pauses = Retry::new(&Delivery::default());
    for _ in 0..args.tries {
        let next = plan.shard(pair.number);
        if pair.shard.become_shard(&next, 0, patience).await? {
            return Ok(());
        }
        sleep(pauses.next_pause()).await;
    }
    Err(refused(
        format!(
            "in {} tries of {} ms, transactions that had written to shard {} did not end, or a VACUUM",
            args.tries, args.lock_timeout_ms, pair.number
        ),
        "Look for long ones in pg_stat_activity and pg_prepared_xacts, and say the same again: it goes on \
         where it was.",
    ))
}

async fn promote(pair: &Pair, plan: &Plan, drawn: i64) -> Result<()> {
    let number = pair.number;
    let next = plan.shard(number + plan.before);
    let began = Instant::now();
    // That the standby shows what the shard has become is the proof: what has moved was written before.
    let has_all = |shard: Option<Shard>| {
        shard.is_some_and(|is| is.count == plan.after() && is.map == plan.map)
    };
    while !has_all(pair.standby.shard().await?) {
        if began.elapsed() > REPLAY {
            return Err(refused(
                format!("--standby number {number} does not follow its shard"),
                "Look at its log and at pg_stat_wal_receiver. What moves away cannot be written until it has \
                 caught up and this has come to its end; say the same again.",
            ));
        }
        sleep(LOOK_EVERY).await;
    }
    if pair.standby.is_standby().await? && !pair.standby.promote_standby(PROMOTION).await? {
        return Err(refused(
            format!("--standby number {number} was not promoted in a minute"),
            "Look at its log, and say the same again: it goes on where it was.",
        ));
    }
    // Nobody is to write there yet; what is in the way has come with the copy.
    if pair.standby.shard().await?.as_ref() != Some(&next)
        && !pair.standby.become_shard(&next, drawn, PROMOTION).await?
    {
        return Err(refused(
            format!("on --standby number {number}, something that has written does not end"),
            "Look there in pg_prepared_xacts and pg_stat_activity, end it, and say the same again.",
        ));
    }
    Ok(pair.standby.confirm_epoch(CONFIRMED).await?)
}

/// What is about to be deleted must be where it lives.
async fn require_arrived(pair: &Pair, plan: &Plan) -> Result<()> {
    let (from, to) = (pair.number, pair.number + plan.before);
    let leaves = pair.shard.share_of(to, plan.after(), ALL).await?;
    let Some(range) = leaves.range else {
        return Ok(());
    };
    let arrived = pair.standby.share_of(to, plan.after(), range).await?;
    if leaves == arrived {
        return print_text(&format!(
            "Shard {to} has the {} messages that shard {from} had of it.",
            leaves.messages
        ));
    }
    if pair.shard.has_deleted_since_it_grew().await?
        || pair.standby.has_deleted_since_it_grew().await?
    {
        return print_text(&format!(
            "Messages were deleted since shard {from} has grown, so what it has of shard {to} was not compared."
        ));
    }
    Err(refused(
        format!(
            "shard {from} has {} messages that live on shard {to}, which has {} of these positions, or others",
            leaves.messages, arrived.messages
        ),
        "Nothing more is deleted. Compare the table messages of both: what is only on the first was written \
         there by nobody's function, or the second is not its standby.",
    ))
}

/// A share at a time, with rests; an error where the session leads to another shard.
async fn delete_moved(session: &Session, shard: &Shard) -> Result<()> {
    let mut after = 0;
    loop {
        let began = Instant::now();
        match session.delete_moved_messages(shard, after).await? {
            None => return Ok(()),
            Some(last) => after = last,
        }
        sleep(began.elapsed() * REST).await;
    }
}

async fn connect(url: &str, flag: &str) -> Result<Session> {
    Ok(Session::connect(&Target::parse(url, flag)?).await?)
}

async fn place_of(session: &Session, flag: &str, number: usize) -> Result<Shard> {
    session.shard().await?.ok_or_else(|| {
        refused(
            format!("{flag} number {number} is no shard"),
            "SELECT message_store.become_shard(0, 1, 1, addresses); makes a store a shard.",
        )
    })
}

fn refused(problem: String, repair: &'static str) -> Error {
    Error::Refused { problem, repair }
}
