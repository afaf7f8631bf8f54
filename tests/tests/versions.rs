//! Promise: whatever names the version of a release names the same one: Cargo, PostgreSQL, PGXN and
//! Debian. And `META.json` has what PGXN's specification 1.0 requires.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Of the workspace, and so of every crate.
const OURS: &str = env!("CARGO_PKG_VERSION");

fn read(name: &str) -> String {
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    fs::read_to_string(repository.join(name)).unwrap()
}

fn meta() -> Value {
    serde_json::from_str(&read("META.json")).unwrap()
}

#[test]
fn everything_that_names_the_version_names_the_same() {
    let of_debian = format!("message-store ({OURS}-");
    assert!(read("debian/changelog").starts_with(&of_debian));
    let meta = meta();
    assert_eq!(meta["version"], OURS);
    for extension in [
        "message_store",
        "message_store_router",
        "message_store_test",
    ] {
        let provided = &meta["provides"][extension];
        assert_eq!(provided["version"], OURS, "{extension}");
        let control = read(provided["file"].as_str().unwrap());
        assert!(control.contains(&format!("default_version = '{OURS}'\n")));
    }
    assert!(!read(&format!("test_kit/message_store_test--{OURS}.sql")).is_empty());
    assert!(!read(&format!("router/message_store_router--{OURS}.sql")).is_empty());
    let (minor, _) = OURS.rsplit_once('.').unwrap();
    assert!(read("docs/testing.md").contains(&format!("version = \"{minor}\"")));
    for page in [
        "docs/kubernetes.md",
        "deploy/kubernetes/cloudnative-pg.yaml",
    ] {
        let image = format!("message-store-orchestrator:{OURS}");
        assert!(read(page).contains(&image), "{page}: {image}");
    }
    assert!(read("CHANGELOG.md").contains(&format!("\n## [{OURS}] - ")));
}

#[test]
fn pgxn_finds_what_it_requires() {
    let meta = meta();
    for key in ["name", "version", "abstract", "maintainer", "license"] {
        assert!(
            meta[key].as_str().is_some_and(|text| !text.is_empty()),
            "{key}"
        );
    }
    let control = read("extension/message_store.control");
    let our_file = &meta["provides"]["message_store"];
    assert_eq!(our_file["file"], "extension/message_store.control");
    assert!(control.contains("module_pathname"));
    assert!(!read(our_file["docfile"].as_str().unwrap()).is_empty());
    assert_eq!(meta["license"], "mit");
    assert_eq!(meta["meta-spec"]["version"], "1.0.0");
    assert!(meta["meta-spec"]["url"].is_string());
}
