//! The shards of a store that is one of several, from the latest sample.

use maud::{Markup, html};

use super::{format, layout};
use message_store_client::{
    database::ShardFacts,
    samples::Sample,
    shards::{Held, ShardStatus, Totals},
};

/// A table of them, and what they come to together; nothing where the store is the only one.
pub fn section(sample: &Sample) -> Markup {
    if sample.shards.is_empty() {
        return html! {};
    }
    let totals = Totals::of(&sample.shards);
    html! {
        h2 { "Shards" }
        @if let Some(Held { shard, settled, by }) = totals.held {
            p {
                "Readers of all shards are held back at position " (format::count(settled)) " by shard " (shard)
                @if let Some(pid) = by { ", by process " (pid) " there" }
                "."
            }
        }
        (layout::cards("Shards", html! {
            thead { tr {
                th scope="col" { "Shard" } th.number scope="col" { "Map" } th.number scope="col" { "Position" }
                th.number scope="col" { "Settled" } th.number scope="col" { "Subscriptions" }
                th.number scope="col" { "Lag" } th.number scope="col" { "Parked" }
            } }
            tbody { @for shard in &sample.shards { (row(shard)) } }
        }))
        p {
            "All together: " (format::count(totals.lag)) " messages to handle, " (format::count(totals.parked)) " parked"
            @if !totals.silent.is_empty() { strong { " – incomplete, since not all shards answer" } }
            "."
        }
    }
}

fn row(shard: &ShardStatus) -> Markup {
    html! {
        tr {
            th scope="row" { (shard.shard) br; span.faint { (shard.address) } }
            @match (&shard.said, &shard.error) {
                (Some(facts), _) => (said(facts)),
                (None, error) => td.wide colspan="6" data-label="Error" {
                    span.bad { (error.as_deref().unwrap_or("nothing is known of it")) }
                },
            }
        }
    }
}

fn said(facts: &ShardFacts) -> Markup {
    html! {
        td.number data-label="Map" { (facts.map) }
        td.number data-label="Position" { (format::count(facts.drawn)) }
        td.number data-label="Settled" { (format::count(facts.settled)) }
        td.number data-label="Subscriptions" {
            (facts.subscriptions)
            @if facts.not_running > 0 { br; span.bad { (facts.not_running) " not started" } }
        }
        td.number data-label="Lag" { (format::count(facts.lag)) }
        td.number data-label="Parked" { (format::count(facts.parked)) }
    }
}
