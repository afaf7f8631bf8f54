//! `orchestrator run`: the daemon, against any PostgreSQL.

use super::{ADDRESS_FLAG, no_url};
use crate::{
    cli::RunArgs,
    config::{Config, LogFormat},
    daemon,
    error::Result,
    listeners::Listeners,
    logging, shutdown,
};

pub(super) async fn run(args: RunArgs) -> Result<()> {
    let mut config = Config::read(&args.config, &args.set)?;
    if let Some(listen) = args.listen {
        config.listen = listen;
        config.listen_is_chosen = true;
    }
    logging::start(
        args.log
            .log_format
            .or(config.log_format)
            .unwrap_or(LogFormat::Human),
    );
    let above = args.url.as_deref().map(|url| (url, ADDRESS_FLAG));
    let origin = args.config.display().to_string();
    let target = config.database.target(above, &origin)?;
    let target = target.ok_or_else(|| no_url(&args.config))?;
    config.dashboard.require_database(&origin)?;
    let token = shutdown::on_signals(|| {})?;
    let listeners = Listeners::bind(&config).await?;
    listeners.announce()?;
    daemon::run(&config, &target, None, listeners, token).await
}
