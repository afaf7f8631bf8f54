//! `orchestrator config`: what a file comes to, and what it may hold.

use super::{
    ADDRESS_FLAG,
    doctor::{print_findings, require_well},
    fields::Fields,
    no_url,
    table::print_text,
};
use crate::{
    cli::{ConfigCheckArgs, ConfigVerb},
    config::Config,
    doctor::{Finding, examine_file},
    error::{Error, Result},
};
use message_store_client::{connection::Target, database::Database};

pub(super) async fn run(verb: ConfigVerb) -> Result<()> {
    match verb {
        ConfigVerb::Check(args) => check(&args).await,
        ConfigVerb::Schema => {
            let schema = serde_json::to_string_pretty(&Config::schema())
                .map_err(|error| Error::io("print the schema")(error.into()))?;
            print_text(&schema)
        }
    }
}

/// Who answers there, for people, and what is not there as the file wants it.
async fn answer_of(target: &Target, config: &Config) -> Result<(String, Vec<Finding>)> {
    let database = Database::open(target, 1)?;
    let installed = database.installed().await?;
    let extension = match installed.extension {
        Some(version) => format!("message_store {version}"),
        None => "no extension message_store; CREATE EXTENSION message_store".to_owned(),
    };
    let answer = format!("{}: answers, {extension}", target.label);
    Ok((answer, examine_file(&database, config).await?))
}

async fn check(args: &ConfigCheckArgs) -> Result<()> {
    let config = Config::read(&args.file, &args.set)?;
    let origin = args.file.display().to_string();
    let above = args.url.as_deref().map(|url| (url, ADDRESS_FLAG));
    let mut findings = Vec::new();
    let database = match config.database.target(above, &origin)? {
        Some(target) if args.connect => {
            let (answer, found) = answer_of(&target, &config).await?;
            findings = found;
            answer
        }
        Some(target) => target.label,
        None if args.connect => return Err(no_url(&args.file)),
        None => "none; give --url or DATABASE_URL".to_owned(),
    };
    let mut fields = Fields::default();
    fields.begin_group();
    let mut line = |name: &str, value: &str| fields.add(name, value);
    line("database", &database);
    line("connections", &config.pool_size.to_string());
    line("web", &config.listen.to_string());
    let metrics = config.metrics.map(|metrics| metrics.listen.to_string());
    line("dashboard", &dashboard(&config, &origin)?);
    line("metrics", metrics.as_deref().unwrap_or("off"));
    for subscription in &config.subscriptions {
        let reads = format!(
            "{} reads {}",
            subscription.subscriber_id, subscription.source
        );
        line("subscription", &reads);
    }
    fields.print()?;
    if !findings.is_empty() {
        print_findings(&findings)?;
    }
    require_well(&findings)
}

/// Where it is and who may come in; what it needs is looked for as a start does.
fn dashboard(config: &Config, origin: &str) -> Result<String> {
    let dashboard = &config.dashboard;
    if !dashboard.enabled {
        return Ok("off".to_owned());
    }
    let tokens = dashboard.tokens(|name| std::env::var(name).ok());
    let tokens = tokens.map_err(|problem| Error::Config {
        origin: origin.to_owned(),
        problem,
    })?;
    dashboard.require_database(origin)?;
    dashboard.database.target(None, origin)?;
    dashboard.viewers_database.target(None, origin)?;
    let who = match (tokens.are_none(), dashboard.proxy.is_known()) {
        (true, false) => "whoever reaches it is an operator",
        (true, true) => "a proxy says who comes",
        (false, false) => "with a token",
        (false, true) => "with a token, or a proxy says who comes",
    };
    Ok(format!("{}, {who}", dashboard.listen))
}
