//! What `CREATE EXTENSION` runs: the files of `sql/`, which the build script puts together.

include!(concat!(env!("OUT_DIR"), "/install.rs"));

install_script!();
