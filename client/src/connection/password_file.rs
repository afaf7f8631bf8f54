//! The password file of libpq: PGPASSFILE, else `~/.pgpass`; lines of
//! `host:port:database:user:password`, where `*` matches all and `\` takes the next character as
//! it is.

use std::{env, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use tokio_postgres::config::Host;
use tracing::warn;

/// The password of the first line that matches. As with libpq, a file that others may read is
/// left alone, and one that is missing is none.
pub(super) fn password_for(config: &tokio_postgres::Config) -> Option<String> {
    let path = env::var_os("PGPASSFILE").map(PathBuf::from).or_else(|| {
        let home = PathBuf::from(env::var_os("HOME")?);
        Some(home.join(".pgpass"))
    })?;
    let mode = fs::metadata(&path).ok()?.permissions().mode();
    if mode & 0o077 != 0 {
        warn!(
            "{} is not used: others may read it; chmod 0600",
            path.display()
        );
        return None;
    }
    find(&fs::read_to_string(&path).ok()?, &key_of(config))
}

/// What a line must name: host, port, database and user.
fn key_of(config: &tokio_postgres::Config) -> [String; 4] {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        // What libpq calls a socket in its usual place; any other goes by its folder.
        Some(Host::Unix(path)) if path.ends_with("run/postgresql") => "localhost".to_owned(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config
            .get_hostaddrs()
            .first()
            .map_or_else(String::new, ToString::to_string),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    [host, port.to_string(), database.to_owned(), user.to_owned()]
}

fn find(text: &str, key: &[String; 4]) -> Option<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let [host, port, database, user, password] = fields(line)?;
            let matches = [host, port, database, user]
                .iter()
                .zip(key)
                .all(|(field, wanted)| field == "*" || field == wanted);
            matches.then_some(password)
        })
}

fn fields(line: &str) -> Option<[String; 5]> {
    let mut fields: [String; 5] = Default::default();
    let mut at = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => fields[at].extend(characters.next()),
            ':' if at < 4 => at += 1,
            other => fields[at].push(other),
        }
    }
    (at == 4).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_gives_the_password() {
        let key = ["db", "5432", "store", "anna"].map(str::to_owned);
        let file = "# db:5432:store:anna:no\nother:*:*:*:no\nshort:line\n\
                    db:5432:*:anna:a\\:b\\\\c\n*:*:*:*:late";
        assert_eq!(find(file, &key).as_deref(), Some("a:b\\c"));
        assert_eq!(find("db:5432:store:bert:no", &key), None);
    }

    #[test]
    fn a_database_is_by_default_named_like_its_user() {
        let config: tokio_postgres::Config = "host=h user=anna".parse().unwrap();
        assert_eq!(key_of(&config), ["h", "5432", "anna", "anna"]);
    }
}
