//! Whose processes the server's are: ours, or, where we are root, those of an
//! ordinary user, because PostgreSQL refuses to run as root.

use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{Gid, Uid, User};

use crate::error::{Error, Result};

/// Another user than ourselves, that only root can become.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) name: String,
    home: PathBuf,
}

impl Account {
    /// The user to run the server as: `None` for ourselves; where we are root,
    /// the owner of existing data, else `postgres`.
    pub(super) fn for_data_dir(data_dir: &Path) -> Result<Option<Self>> {
        let owner = std::fs::metadata(data_dir.join(super::PGDATA)).map(|data| data.uid());
        let ours = Uid::effective();
        if !ours.is_root() {
            return match owner {
                Ok(uid) if uid != ours.as_raw() => Err(Error::Cluster {
                    problem: format!(
                        "{} belongs to another user (id {uid}); run as that user or as root, \
                         or choose another --data-dir",
                        data_dir.display()
                    ),
                }),
                _ => Ok(None),
            };
        }
        let user = match owner {
            Ok(uid) if uid != 0 => User::from_uid(Uid::from_raw(uid)),
            _ => User::from_name("postgres"),
        };
        let user = user.ok().flatten().ok_or_else(|| Error::Cluster {
            problem: "PostgreSQL does not run as root, and there is no user postgres to run it \
                      as; make one (`useradd --system postgres`) or run as an ordinary user"
                .to_owned(),
        })?;
        Ok(Some(Self {
            uid: user.uid,
            gid: user.gid,
            name: user.name,
            home: user.dir,
        }))
    }

    /// Makes the command run as this user, without root's groups.
    pub(super) fn apply(&self, command: &mut Command) {
        command
            .uid(self.uid.as_raw())
            .gid(self.gid.as_raw())
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .env("LOGNAME", &self.name);
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw())).map_err(
            Error::io(format!("give {} to {}", path.display(), self.name)),
        )
    }
}
