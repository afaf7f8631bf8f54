//! `orchestrator shards`.

mod split;
mod status;

use crate::{cli::ShardsVerb, error::Result};

pub(super) async fn run(verb: ShardsVerb) -> Result<()> {
    match verb {
        ShardsVerb::Status(args) => status::status(&args).await,
        ShardsVerb::Split(args) => split::split(&args).await,
    }
}
