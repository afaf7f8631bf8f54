//! `orchestrator completions` and `orchestrator man`: made from the definition of the arguments.

use std::io::{ErrorKind, Write, stdout};

use clap::CommandFactory;

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
    match stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("write to standard output")(error))
        }
        _ => Ok(()),
    }
}
