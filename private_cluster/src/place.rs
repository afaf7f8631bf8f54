//! Where a cluster's data and socket live: in the data directory the user
//! named, or elsewhere where the server could not get at them there.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use nix::unistd::Uid;
use postgresql_commands::{CommandBuilder, postgres::PostgresBuilder};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{PGDATA, account::Account, programs, programs::Programs};
use crate::error::{Error, Result};

/// The longest folder for a socket: its whole name must stay below the 107
/// bytes the kernel has for it, `/.s.PGSQL.65535` included.
const LONGEST_SOCKET_DIR: usize = 90;

/// Where data goes that the server's user cannot reach in the named folder.
/// Not /var/tmp: systems that clean it would remove live data after a month.
const ELSEWHERE: &str = "/var/lib";

/// The paths of one cluster.
#[derive(Debug)]
pub(super) struct Place {
    base: PathBuf,
    pgdata: PathBuf,
    socket_dir: PathBuf,
    is_elsewhere: bool,
}

impl Place {
    /// Decides, and makes the folders around the data. Where the server's user
    /// cannot reach `data_dir` (a clone under /root, say), the data goes
    /// elsewhere and `data_dir` gets a link to it.
    pub(super) async fn choose(
        data_dir: &Path,
        account: Option<&Account>,
        programs: &Programs,
        temporary: bool,
    ) -> Result<Self> {
        make_dir(data_dir)?;
        let link = data_dir.join(PGDATA);
        let is_link = fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink());
        if is_link {
            let target = fs::read_link(&link)
                .map_err(Error::io(format!("read the link {}", link.display())))?;
            if target.is_dir() {
                return Self::in_base(target.parent().unwrap_or(data_dir), data_dir);
            }
            warn!("{} is gone; starting without data", target.display());
            fs::remove_file(&link).map_err(Error::io(format!("remove {}", link.display())))?;
        }
        let Some(account) = account else {
            return Self::in_base(data_dir, data_dir);
        };
        if can_reach(account, data_dir, programs).await? {
            return Self::in_base(data_dir, data_dir);
        }
        if link.is_dir() {
            return Err(Error::Cluster {
                problem: format!(
                    "the user {} cannot reach {}; let it pass through the folders above, \
                     or choose another --data-dir",
                    account.name,
                    link.display()
                ),
            });
        }
        let parent = if temporary { "/tmp" } else { ELSEWHERE };
        let base = make_base_elsewhere(Path::new(parent), data_dir)?;
        symlink(base.join(PGDATA), &link)
            .map_err(Error::io(format!("make the link {}", link.display())))?;
        info!(
            "PostgreSQL (as the user {}) cannot reach {}: its data is in {}, with a link to it",
            account.name,
            data_dir.display(),
            base.display()
        );
        Self::in_base(&base, data_dir)
    }

    fn in_base(base: &Path, data_dir: &Path) -> Result<Self> {
        let base = base
            .canonicalize()
            .map_err(Error::io(format!("find {}", base.display())))?;
        let is_elsewhere = data_dir.canonicalize().is_ok_and(|named| named != base);
        let near = base.join("socket");
        let text = near.to_string_lossy();
        // PostgreSQL separates folders by commas, and quotes them.
        let is_usable = text.len() <= LONGEST_SOCKET_DIR && !text.contains([',', '"', '\\']);
        let socket_dir = if is_usable {
            near
        } else {
            PathBuf::from(format!("/tmp/message_store-{}", short_hash(&base)))
        };
        Ok(Self {
            pgdata: base.join(PGDATA),
            base,
            socket_dir,
            is_elsewhere,
        })
    }

    pub(super) fn pgdata(&self) -> &Path {
        &self.pgdata
    }

    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Makes the socket's folder, open to nobody but the server's user. A
    /// folder of that name that somebody else made is refused: connections
    /// are trusted because only the owner can get to the socket.
    pub(super) fn make_socket_dir(&self, account: Option<&Account>) -> Result<()> {
        let dir = &self.socket_dir;
        let action = || format!("make the socket folder {}", dir.display());
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::io(action()))?,
        }
        let found = fs::symlink_metadata(dir).map_err(Error::io(action()))?;
        let server_uid = account.map_or(Uid::effective(), |account| account.uid);
        let is_ours = found.is_dir() && found.uid() == Uid::effective().as_raw();
        let is_servers = found.is_dir() && found.uid() == server_uid.as_raw();
        if is_servers && found.mode() & 0o077 == 0 {
            return Ok(());
        }
        if !is_ours {
            return Err(Error::Cluster {
                problem: format!(
                    "{} is not ours, or open to others; remove it or choose another --data-dir",
                    dir.display()
                ),
            });
        }
        // Still ours, so nobody can put another in its place meanwhile.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(Error::io(action()))?;
        match account {
            Some(account) => account.own(dir),
            None => Ok(()),
        }
    }

    /// Removes the socket's folder where it is empty. Best effort: the next
    /// start makes or takes it.
    pub(super) fn remove_socket_dir(&self) {
        let _ = fs::remove_dir(&self.socket_dir);
    }

    /// Removes the data, and nothing that is not the cluster's.
    pub(super) fn remove(&self, data_dir: &Path) -> Result<()> {
        self.remove_socket_dir();
        let action = || format!("remove {}", self.base.display());
        let unless_gone = |removed: std::io::Result<()>| match removed {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(Error::io(action())),
        };
        unless_gone(fs::remove_dir_all(&self.pgdata))?;
        if self.is_elsewhere {
            unless_gone(fs::remove_file(data_dir.join(PGDATA)))?;
            unless_gone(fs::remove_dir_all(&self.base))?;
        }
        Ok(())
    }
}

/// Makes a folder that others may pass through, whatever our umask.
fn make_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let action = || format!("make the folder {}", path.display());
    fs::create_dir_all(path).map_err(Error::io(action()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::io(action()))
}

/// Tried, not computed: access lists and mounts have their say too.
async fn can_reach(account: &Account, dir: &Path, programs: &Programs) -> Result<bool> {
    let version = || {
        PostgresBuilder::new()
            .program_dir(&programs.dir)
            .version()
            .build()
    };
    let runs = programs::run(version(), Some(account), Path::new("/")).await;
    runs.map_err(|problem| Error::Cluster {
        problem: format!("the user {} cannot run PostgreSQL: {problem}", account.name),
    })?;
    Ok(programs::run(version(), Some(account), dir).await.is_ok())
}

/// A folder named after the path it stands for. One that exists already but is
/// not linked to belonged to a folder that was removed: it is left alone, and
/// the next free name is taken, so that old data does not come back unasked.
fn make_base_elsewhere(parent: &Path, data_dir: &Path) -> Result<PathBuf> {
    let name = format!("message_store-{}", short_hash(data_dir));
    for attempt in 1..1000 {
        let base = match attempt {
            1 => parent.join(&name),
            _ => parent.join(format!("{name}-{attempt}")),
        };
        match fs::DirBuilder::new().mode(0o755).create(&base) {
            Ok(()) => return Ok(base),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(format!("make {}", base.display()))(error)),
        }
    }
    Err(Error::Cluster {
        problem: format!(
            "{} is full of {name}-*; remove those not in use",
            parent.display()
        ),
    })
}

fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket_dir() -> Result<()> {
        let root = tempfile::tempdir().map_err(Error::io("make a folder"))?;
        let long = root.path().join("a".repeat(100));
        make_dir(&long)?;
        let place = Place::in_base(&long, &long)?;
        assert!(place.socket_dir().starts_with("/tmp"));
        assert!(place.socket_dir().as_os_str().len() <= LONGEST_SOCKET_DIR);
        Ok(())
    }

    #[test]
    fn a_socket_dir_is_private_and_a_strangers_is_refused() -> Result<()> {
        let root = tempfile::tempdir().map_err(Error::io("make a folder"))?;
        let place = Place::in_base(root.path(), root.path())?;
        place.make_socket_dir(None)?;
        let mode = fs::metadata(place.socket_dir()).map(|found| found.mode() & 0o777);
        assert_eq!(mode.ok(), Some(0o700));
        place.remove_socket_dir();
        symlink("/tmp", place.socket_dir()).map_err(Error::io("make a link"))?;
        assert!(place.make_socket_dir(None).is_err());
        Ok(())
    }
}
