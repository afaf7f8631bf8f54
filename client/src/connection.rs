//! Which database, and how its connection is protected.
//!
//! The driver knows `sslmode` disable, prefer and require only, so the libpq
//! words are taken out of the address here and turned into a TLS set-up.

use std::{path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, Result};

pub(crate) mod opening;
mod password_file;
mod servers;
mod tls;

use tls::Protection;

/// A checked address of a database.
#[derive(Clone)]
pub struct Target {
    /// What the driver connects with.
    pub config: tokio_postgres::Config,
    /// How it makes TLS where `config` asks for it.
    pub tls: MakeRustlsConnect,
    /// Host and database for people; holds no password.
    pub label: String,
}

impl Target {
    /// How long it may take until one of the servers has taken us, or all have refused.
    pub(crate) fn patience(&self) -> Duration {
        let servers = u32::try_from(servers::count(&self.config)).unwrap_or(1);
        servers::patience(&self.config) * servers.max(1)
    }

    /// Takes the password from libpq's password file, where a line there matches.
    pub fn look_up_password(&mut self) {
        if let Some(password) = password_file::password_for(&self.config) {
            self.config.password(password);
        }
    }

    /// Parses a libpq address: `postgresql://user@host/database` or
    /// `host=... dbname=...`, with `sslmode` (`disable`, `prefer`, `require`,
    /// `verify-full`) and `sslrootcert` (a PEM file; default: the system's
    /// certificates).
    ///
    /// Without `sslmode`, sockets and loopback addresses are plain and every
    /// other host is `verify-full`: a password never crosses a network in the
    /// clear because nobody thought of it.
    ///
    /// # Errors
    /// [`Error::Config`] where the address or a certificate cannot be read.
    pub fn parse(url: &str, origin: &str) -> Result<Self> {
        let fail = |problem: String| Error::Config {
            origin: origin.to_owned(),
            problem,
        };
        let (address, taken) = take_tls_words(url);
        let mut config = tokio_postgres::Config::from_str(&address).map_err(|error| {
            fail(format!(
                "{}; write an address such as postgresql://user@localhost:5432/message_store",
                crate::error::chain(&error)
            ))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }

        let protection = match taken.sslmode.as_deref() {
            None if is_local(&config) => Protection::Disable,
            None => Protection::VerifyFull,
            Some(word) => Protection::from_word(word).ok_or_else(|| {
                fail(format!(
                    "sslmode {word:?} is not known; use disable, prefer, require or verify-full"
                ))
            })?,
        };
        config.ssl_mode(protection.driver_mode());
        if config.get_application_name().is_none() {
            config.application_name("orchestrator");
        }
        config.connect_timeout(servers::patience(&config));
        // A peer that vanished without a goodbye is noticed in about 20 seconds.
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(3));
        config.keepalives_retries(3);
        // What was sent and is not even received.
        config.tcp_user_timeout(Duration::from_secs(15));

        let tls = tls::connector(protection, taken.sslrootcert).map_err(fail)?;
        let label = label(&config);
        Ok(Self { config, tls, label })
    }

    /// The same, for a configuration made by code: sockets of a private cluster.
    ///
    /// # Errors
    /// [`Error::Config`] where the TLS library refuses its own defaults.
    pub fn plain(mut config: tokio_postgres::Config) -> Result<Self> {
        config
            .ssl_mode(SslMode::Disable)
            .application_name("orchestrator");
        let tls = tls::connector(Protection::Disable, None).map_err(|problem| Error::Config {
            origin: "TLS".to_owned(),
            problem,
        })?;
        let label = label(&config);
        Ok(Self { config, tls, label })
    }
}

/// The words of an address that the driver does not understand.
#[derive(Debug, Default, PartialEq, Eq)]
struct TlsWords {
    sslmode: Option<String>,
    sslrootcert: Option<PathBuf>,
}

impl TlsWords {
    /// Keeps the pair and says true where it is one of ours.
    fn take(&mut self, pair: &str) -> bool {
        match pair.split_once('=') {
            Some(("sslmode", value)) => self.sslmode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => self.sslrootcert = Some(PathBuf::from(value)),
            _ => return false,
        }
        true
    }
}

fn take_tls_words(url: &str) -> (String, TlsWords) {
    let mut words = TlsWords::default();
    let is_uri = url.starts_with("postgresql://") || url.starts_with("postgres://");
    if !is_uri {
        let kept: Vec<&str> = url
            .split_whitespace()
            .filter(|pair| !words.take(pair))
            .collect();
        // Rewritten only where something was taken out: a quoted value may hold blanks.
        let address = if words == TlsWords::default() {
            url.to_owned()
        } else {
            kept.join(" ")
        };
        return (address, words);
    }
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), words);
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !words.take(pair)).collect();
    let address = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    (address, words)
}

/// True where no packet leaves the machine.
fn is_local(config: &tokio_postgres::Config) -> bool {
    let hosts_are_local = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    });
    hosts_are_local
        && config
            .get_hostaddrs()
            .iter()
            .all(std::net::IpAddr::is_loopback)
}

fn label(config: &tokio_postgres::Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
    let named: Vec<String> = match config.get_hosts() {
        [] => addresses.collect(),
        _ => hosts.collect(),
    };
    let host = named.join(",");
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or("its default database");
    format!("{host} port {port}, database {database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(url: &str) -> SslMode {
        match Target::parse(url, "test") {
            Ok(target) => target.config.get_ssl_mode(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn sockets_and_loopback_are_plain_unless_asked() {
        assert_eq!(mode_of("postgresql:///store?host=/tmp"), SslMode::Disable);
        assert_eq!(mode_of("postgresql://u@localhost/store"), SslMode::Disable);
        assert_eq!(
            mode_of("postgresql://u@127.0.0.1/store?sslmode=require"),
            SslMode::Require
        );
        assert_eq!(
            mode_of("host=127.0.0.1 sslmode=prefer dbname=x"),
            SslMode::Prefer
        );
    }

    #[test]
    fn another_host_is_plain_only_when_told_so() {
        assert_eq!(
            mode_of("postgresql://u@db.example/store?sslmode=disable"),
            SslMode::Disable
        );
        let words = take_tls_words("postgresql://h/d?sslmode=verify-full&port=1");
        assert_eq!(words.0, "postgresql://h/d?port=1");
        assert_eq!(words.1.sslmode.as_deref(), Some("verify-full"));
    }

    #[test]
    fn an_unknown_sslmode_names_the_choices() {
        let problem = match Target::parse("host=h sslmode=maybe", "--url") {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        assert!(problem.contains("verify-full"), "{problem}");
    }

    #[test]
    fn a_label_holds_no_password() {
        let target = Target::parse("postgresql://u:secret@localhost/store", "test");
        let label = target.map(|target| target.label).unwrap_or_default();
        assert_eq!(label, "localhost port 5432, database store");
    }

    #[test]
    fn a_label_has_every_server() {
        let target = Target::parse("postgresql://u@db1,db2/store", "test");
        let label = target.map(|target| target.label).unwrap_or_default();
        assert_eq!(label, "db1,db2 port 5432, database store");
    }
}
