//! `orchestrator run`: the daemon, against any PostgreSQL.

use super::no_url;
use crate::{
    cli::RunArgs,
    config::{Config, LogFormat},
    connection::Target,
    daemon,
    error::Result,
    listeners::Listeners,
    logging, shutdown,
};

pub(super) async fn run(args: RunArgs) -> Result<()> {
    let mut config = Config::read(&args.config)?;
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
    let origin = args.config.display().to_string();
    let target = match (&args.url, &config.url) {
        (Some(url), _) => Target::parse(url, "--url or DATABASE_URL")?,
        (None, Some(url)) => Target::parse(url, &origin)?,
        (None, None) => return Err(no_url(&args.config)),
    };
    let token = shutdown::on_signals(|| {})?;
    let listeners = Listeners::bind(&config).await?;
    listeners.announce()?;
    daemon::run(&config, &target, listeners, token).await
}
