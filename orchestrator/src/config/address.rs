//! `[database]`: the address, or where it and the password are kept.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};
use message_store_client::connection::Target;

/// How the file says to find the database. Printing it shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseAddress {
    /// The libpq address itself.
    pub url: Option<String>,
    /// A file that holds it.
    pub url_file: Option<PathBuf>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

impl DatabaseAddress {
    /// Whether the file names one.
    pub fn is_given(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }

    /// The database, where the file names one. `above` is an address that goes above the file's,
    /// with where it comes from. The password is the first of: the address's, PGPASSWORD,
    /// `password_file`, and libpq's own file (PGPASSFILE, else `~/.pgpass`).
    ///
    /// # Errors
    /// [`Error::Config`] naming the file, the variable or the flag that cannot be used.
    pub fn target(&self, above: Option<(&str, &str)>, origin: &str) -> Result<Option<Target>> {
        let given = above.or(self.url.as_deref().map(|url| (url, origin)));
        let mut target = match (given, &self.url_file) {
            (Some((url, origin)), _) => Target::parse(url, origin)?,
            (None, Some(file)) => Target::parse(&secret_in(file)?, &file.display().to_string())?,
            (None, None) => return Ok(None),
        };
        if target.config.get_password().is_none() {
            if let Ok(password) = env::var("PGPASSWORD") {
                target.config.password(password);
            } else if let Some(file) = &self.password_file {
                target.config.password(secret_in(file)?);
            } else {
                target.look_up_password();
            }
        }
        Ok(Some(target))
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatabaseAddress")
            .field("url", &self.url.as_ref().map(|_| "..."))
            .field("url_file", &self.url_file)
            .field("password_file", &self.password_file)
            .finish()
    }
}

/// What a file of a secret holds, without the end of its line.
pub(super) fn secret_in(file: &Path) -> Result<String> {
    let fail = |problem: String| Error::Config {
        origin: file.display().to_string(),
        problem,
    };
    let text = fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(fail("is empty; it must hold the secret".to_owned())),
        secret => Ok(secret.to_owned()),
    }
}
