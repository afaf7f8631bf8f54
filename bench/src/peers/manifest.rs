//! Versions, from the manifests that pin them.

use serde_json::Value;

/// Of a package in a `package.json`.
pub(super) fn npm_version(manifest: &str, package: &str) -> String {
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    let version = manifest["dependencies"][package].as_str();
    version
        .unwrap_or_else(|| panic!("{package} is not pinned"))
        .to_owned()
}

/// Of a package in a `requirements.txt`.
pub(super) fn python_version(requirements: &str, package: &str) -> String {
    let mut pins = requirements
        .lines()
        .filter_map(|line| line.split_once("=="));
    let pin = pins.find(|(name, _)| *name == package);
    let (_, version) = pin.unwrap_or_else(|| panic!("{package} is not pinned"));
    version.trim().to_owned()
}

/// Of an extension of PostgreSQL, in its control file.
pub(super) fn extension_version(control: &str) -> Option<String> {
    let mut settings = control.lines().filter_map(|line| line.split_once('='));
    let (_, version) = settings.find(|(name, _)| name.trim() == "default_version")?;
    Some(version.trim().trim_matches('\'').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_whole_name() {
        let manifest = r#"{"dependencies": {"@a/b": "1.2.3", "@a/b-c": "4.5.6"}}"#;
        assert_eq!(npm_version(manifest, "@a/b"), "1.2.3");
        let requirements = "psycopg==3.3.9\npsycopg-pool==3.3.3\n";
        assert_eq!(python_version(requirements, "psycopg"), "3.3.9");
    }

    #[test]
    #[should_panic(expected = "psycopg-c is not pinned")]
    fn a_package_that_is_not_pinned_fails_loudly() {
        python_version("psycopg==3.3.9\n", "psycopg-c");
    }

    #[test]
    fn the_version_of_an_extension_is_the_default_one() {
        let control = "# pgq extension\ncomment = 'a queue'\ndefault_version = '3.5'\n";
        assert_eq!(extension_version(control).as_deref(), Some("3.5"));
        assert_eq!(extension_version("comment = 'a queue'\n"), None);
    }
}
