//! Log lines on standard error, for people or for programs.

use std::{
    fmt,
    io::{self, IsTerminal, Write, stderr},
    panic,
    sync::OnceLock,
};

use tracing::{Level, error, field::Field, warn};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::format::{Writer, debug_fn},
};

use crate::{
    config::LogFormat,
    error::{self, Error},
};
use printable::printable;

/// The driver repeats the server's notices ("already exists, skipping") as
/// news, and the pool each lost connection that the waiter reports already.
const DEFAULT_FILTER: &str = "info,tokio_postgres=warn,deadpool=error";

/// The format that was started with.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Starts logging. What is logged: `RUST_LOG`, default `info`. Called a second
/// time it changes nothing.
pub fn start(format: LogFormat) {
    let wanted = std::env::var("RUST_LOG").ok();
    let wanted = wanted.filter(|text| !text.trim().is_empty());
    let (filter, problem) = match wanted.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(problem)) => (EnvFilter::new(DEFAULT_FILTER), Some(problem)),
        None => (EnvFilter::new(DEFAULT_FILTER), None),
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Where nobody reads the log any more, saying that would end the program.
        .log_internal_errors(false)
        .with_writer(stderr);
    // Already started is fine: the first caller decides.
    let started = match format {
        LogFormat::Json => logs
            .json()
            .flatten_event(true)
            .with_writer(|| Printable(stderr()))
            .try_init(),
        LogFormat::Human => logs
            .with_target(false)
            .with_ansi(is_colourful())
            .fmt_fields(debug_fn(print_field).delimited(" "))
            .try_init(),
    };
    if started.is_err() || FORMAT.set(format).is_err() {
        return;
    }
    if format == LogFormat::Json {
        // Whoever reads JSON stumbles over any other line.
        panic::set_hook(Box::new(|bug| error!("{bug}")));
    }
    if let Some(problem) = problem {
        warn!("RUST_LOG cannot be used ({problem}); logging as without it");
    }
}

/// The message as it is, other fields with their names, what they hold on one line.
fn print_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = printable(&text);
    match field.name() {
        "message" => write!(writer, "{text}"),
        name => write!(writer, "{name}={text}"),
    }
}

/// Lines of JSON in which nothing stands that a terminal would obey.
struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    /// Takes whole lines, as log lines are written.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        writeln!(self.0, "{}", printable(text))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// On a terminal, unless `NO_COLOR` is set to anything.
fn is_colourful() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr().is_terminal() && !is_unwanted
}

/// Says why the program ends: one line, in the format that the lines before it had.
pub fn report(failure: &Error) {
    let cause = error::chain(failure);
    if FORMAT.get() == Some(&LogFormat::Json) && tracing::enabled!(Level::ERROR) {
        error!("{cause}");
    } else {
        say(format_args!("orchestrator: {}", printable(&cause)));
    }
}

/// Prints a line for people on standard error. Where nobody reads it, that is no failure.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(stderr(), "{line}");
}
