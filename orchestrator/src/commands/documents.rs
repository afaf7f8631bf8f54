//! `orchestrator completions` and `orchestrator man`: made from the definition of the arguments.

use clap::CommandFactory;

use super::read::print_bytes;
use crate::{
    cli::{Cli, CompletionsArgs, ManArgs},
    error::{Error, Result},
};

pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "orchestrator", &mut script);
    print(&script)
}

pub(super) fn man(args: &ManArgs) -> Result<()> {
    match &args.folder {
        Some(folder) => clap_mangen::generate_to(Cli::command(), folder).map_err(Error::io(
            format!("write man pages to {}", folder.display()),
        )),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(Error::io("render the man page"))?;
            print(&page)
        }
    }
}

fn print(text: &[u8]) -> Result<()> {
    print_bytes(text).map(|_| ())
}
