//! What goes above the file: `ORCHESTRATOR__TABLE__KEY` in the environment, and `--set table.key=value`
//! above that.

use std::{env, str::FromStr};

use toml::{Table, Value};

/// Variables of this prefix name a table and a key, with two underscores between them.
const PREFIX: &str = "ORCHESTRATOR__";

/// A value for one key of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The variable or the flag, for people.
    origin: String,
    table: String,
    key: String,
    value: String,
}

impl Override {
    /// The variable or the flag it was given by.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn is_of(&self, table: &str, key: &str) -> bool {
        self.table == table && self.key == key
    }

    /// Puts the value in its place: a number, a truth value or a list where it is one, else text.
    /// An address, or a password, goes above the file that would hold it, and the other way round.
    pub(super) fn put_into(&self, file: &mut Table) -> Result<(), String> {
        let table = file
            .entry(&self.table)
            .or_insert_with(|| Value::Table(Table::new()));
        let Some(table) = table.as_table_mut() else {
            return Err(format!(
                "{} has no single keys; write it in a file",
                self.table
            ));
        };
        let value = toml::from_str::<Table>(&format!("value = {}", self.value))
            .ok()
            .and_then(|mut parsed| parsed.remove("value"))
            .unwrap_or_else(|| Value::String(self.value.clone()));
        let other = match self.key.strip_suffix("_file") {
            Some(key) => key.to_owned(),
            None => format!("{}_file", self.key),
        };
        table.remove(&other);
        table.insert(self.key.clone(), value);
        Ok(())
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "write table.key=value, such as delivery.retry_max_ms=1000".to_owned();
        let (name, value) = text.split_once('=').ok_or_else(wanted)?;
        let (table, key) = name.split_once('.').ok_or_else(wanted)?;
        Ok(Self {
            origin: format!("--set {name}"),
            table: table.trim().to_owned(),
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    }
}

/// Those of the environment, in the order of their names.
///
/// # Errors
/// The name of a variable that is meant for us and names no key.
pub(super) fn of_environment() -> Result<Vec<Override>, String> {
    // A variable that is no text is none of ours.
    let mut found = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter_map(|(name, value)| from_variable(&name, value))
        .collect::<Result<Vec<Override>, String>>()?;
    found.sort_by(|one, other| one.origin.cmp(&other.origin));
    Ok(found)
}

/// `None` where the variable is none of ours.
fn from_variable(name: &str, value: String) -> Option<Result<Override, String>> {
    let Some((table, key)) = name.strip_prefix(PREFIX)?.split_once("__") else {
        return Some(Err(format!(
            "variable {name} names no key; two underscores go before the table and before the \
             key, as in {PREFIX}DATABASE__POOL_SIZE"
        )));
    };
    Some(Ok(Override {
        origin: format!("variable {name}"),
        table: table.to_lowercase(),
        key: key.to_lowercase(),
        value,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::time::Duration;

    fn read(flags: &[&str]) -> Result<Config, String> {
        let flags: Vec<Override> = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        let text = "[delivery]\nretry_max_ms = 7000\n";
        Config::with_overrides("the file", text, &flags).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_goes_above_the_file_and_leaves_the_rest_of_it() {
        let flags = [
            "delivery.retry_min_ms=50",
            "web.listen=127.0.0.1:9",
            "log.format=json",
        ];
        let config = read(&flags).unwrap();
        assert_eq!(config.delivery.retry_min, Duration::from_millis(50));
        assert_eq!(config.delivery.retry_max, Duration::from_secs(7));
        assert_eq!(config.listen.to_string(), "127.0.0.1:9");
        assert!(config.listen_is_chosen && config.log_format.is_some());
    }

    #[test]
    fn a_mistake_is_named_by_the_flag_it_came_with() {
        let problem = read(&["delivery.retry_mni_ms=50"]).unwrap_err();
        assert!(problem.contains("--set delivery.retry_mni_ms"), "{problem}");
        assert!(
            problem.contains("did you mean `retry_min_ms`?"),
            "{problem}"
        );
        let problem = read(&["database.pool_size=0"]).unwrap_err();
        assert!(problem.contains("--set database.pool_size"), "{problem}");
        assert!(read(&["services.batch_size=1"]).is_err());
    }

    #[test]
    fn a_variable_names_table_and_key() {
        let from = |name| from_variable(name, "8".to_owned());
        let found = from("ORCHESTRATOR__DATABASE__POOL_SIZE").unwrap().unwrap();
        assert!(found.is_of("database", "pool_size"));
        assert_eq!(from("ORCHESTRATOR_LISTEN"), None);
        let problem = from("ORCHESTRATOR__DATABASE_POOL_SIZE").unwrap();
        let problem = problem.unwrap_err();
        assert!(
            problem.contains("ORCHESTRATOR__DATABASE_POOL_SIZE names no key"),
            "{problem}"
        );
    }

    #[test]
    fn what_belongs_together_is_checked_together() {
        // Each alone would be on the wrong side of what the file has of the other.
        let flags = ["delivery.retry_min_ms=8000", "delivery.retry_max_ms=9000"];
        let config = read(&flags).unwrap();
        assert_eq!(config.delivery.retry_min, Duration::from_secs(8));
        let flags = [
            "delivery.retry_min_ms=8000",
            "delivery.wait_timeout_ms=5",
            "delivery.retry_max_ms=7999",
            "database.pool_size=2",
        ];
        let problem = read(&flags).unwrap_err();
        assert!(problem.contains("retry_min_ms is above"), "{problem}");
        assert!(problem.contains("--set delivery.retry_m"), "{problem}");
    }

    #[test]
    fn an_address_goes_above_the_file_that_holds_one_and_the_other_way_round() {
        let url = "postgresql://localhost/x";
        let flag = |text: String| text.parse::<Override>().unwrap();
        let text = format!("[database]\nurl = '{url}'\n[dashboard]\nviewer_url_file = 'v'");
        let flags = [
            flag("database.url_file=/secret".to_owned()),
            flag(format!("dashboard.viewer_url={url}")),
        ];
        let config = Config::with_overrides("the file", &text, &flags).unwrap();
        assert_eq!(config.database.url_file, Some("/secret".into()));
        assert_eq!(config.database.url, None);
        let viewers = config.dashboard.viewers_database;
        assert_eq!(
            (viewers.url.as_deref(), viewers.url_file),
            (Some(url), None)
        );
    }
}
