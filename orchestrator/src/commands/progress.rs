//! How far a long command has come: on standard error, and only where that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a number of bytes, or a spinner where that is not known. The message is the count of
/// messages.
pub(super) fn progress_bar(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:30} {percent:>3} %  {msg}  {bytes_per_sec}  {eta} left",
        None => "{spinner} {msg}  {bytes}  {bytes_per_sec}",
    };
    styled(length, template)
}

/// A bar over positions up to the last one there is.
pub(super) fn position_bar(last: u64) -> ProgressBar {
    let template = "{bar:30} {percent:>3} %  {msg}  {eta} left";
    styled(Some(last), template)
}

fn styled(length: Option<u64>, template: &str) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(5);
    let bar = ProgressBar::with_draw_target(length, target);
    // The templates are ours; a typing error in one would only make the bar plain.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
