//! Describing a cluster, and bringing it up.

use std::path::{Path, PathBuf};

use super::{Cluster, account::Account, place::Place, programs::Programs};
use crate::error::{Error, Result};

/// What a cluster is to be. See [`Cluster::builder`].
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    data_dir: PathBuf,
    pg_config: Option<PathBuf>,
    settings: Vec<(String, String)>,
    port: u16,
    server_program: Option<PathBuf>,
    temporary: bool,
}

impl ClusterBuilder {
    pub(super) fn new() -> Self {
        Self {
            data_dir: PathBuf::from(".message_store"),
            pg_config: None,
            settings: Vec::new(),
            port: 5432,
            server_program: None,
            temporary: false,
        }
    }

    /// Where the data lives; made where missing. Default `.message_store`.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = path.into();
        self
    }

    /// The `pg_config` of the PostgreSQL to run. Default: see [`Cluster::builder`].
    pub fn pg_config(mut self, path: Option<PathBuf>) -> Self {
        self.pg_config = path;
        self
    }

    /// PostgreSQL settings above our own, by name.
    pub fn settings<K, V>(mut self, settings: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let settings = settings
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        self.settings.extend(settings);
        self
    }

    /// The port in the socket's name. Default 5432.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What is started instead of PostgreSQL's server, and starts that: a profiler, say. Default:
    /// the server itself.
    pub fn server_program(mut self, path: Option<PathBuf>) -> Self {
        self.server_program = path;
        self
    }

    /// Removes the data when the cluster is dropped, and makes it without waiting for the disk: for
    /// tests.
    pub fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    /// Makes the cluster where there is none, and starts it. A server left
    /// running by an earlier owner is taken over, with the settings it has.
    ///
    /// # Errors
    /// [`Error::Unusable`] where no usable PostgreSQL is found; else
    /// [`Error::Cluster`] or [`Error::Io`].
    pub async fn start(self) -> Result<Cluster> {
        let programs = Programs::find(self.pg_config.as_deref()).await?;
        let data_dir = std::path::absolute(&self.data_dir)
            .map_err(Error::io(format!("find {}", self.data_dir.display())))?;
        let account = Account::for_data_dir(&data_dir)?;
        let place = Place::choose(&data_dir, account.as_ref(), &programs, self.temporary).await?;
        let mut cluster = Cluster {
            programs,
            account,
            place,
            data_dir,
            port: self.port,
            server_program: self.server_program.clone(),
            temporary: self.temporary,
        };
        cluster.server().initialise_once().await?;
        if let Some(left) = cluster.take_over().await {
            cluster.port = left.port;
            return Ok(cluster);
        }
        cluster.place.make_socket_dir(cluster.account.as_ref())?;
        let settings = self.settings_text(cluster.socket_dir());
        cluster.server().write_settings(&settings)?;
        cluster.server().start().await?;
        Ok(cluster)
    }

    fn settings_text(&self, socket_dir: &Path) -> String {
        let socket_dir = socket_dir.to_string_lossy();
        let ours = [
            ("listen_addresses", ""),
            ("unix_socket_directories", &format!("\"{socket_dir}\"")),
            ("unix_socket_permissions", "0700"),
            ("port", &self.port.to_string()),
        ];
        let mut text = String::from("# Written at each start; put your own in postgresql.conf\n");
        let theirs = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.into_iter().chain(theirs) {
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_and_the_callers_come_last() {
        let builder =
            ClusterBuilder::new().settings([("listen_addresses", "it's"), ("fsync", "off")]);
        let text = builder.settings_text(Path::new("/tmp/a b"));
        assert!(
            text.contains("unix_socket_directories = '\"/tmp/a b\"'\n"),
            "{text}"
        );
        assert!(
            text.ends_with("listen_addresses = 'it''s'\nfsync = 'off'\n"),
            "{text}"
        );
    }
}
