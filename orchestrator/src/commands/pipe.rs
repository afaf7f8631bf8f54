//! Whether anybody still reads what we print.

use std::{fs::File, future::pending, io::stdout, os::fd::AsFd};

use tokio::{io::Interest, net::unix::pipe::Sender};

/// Returns when the reader of our output has gone, as `head` does, although nothing is printed at the
/// moment. Never where it is a file.
pub(super) async fn reader_left() {
    let output = stdout().as_fd().try_clone_to_owned();
    // It is only watched: whoever shares it goes on writing as before.
    let watched = output.and_then(|output| Sender::from_file_unchecked(File::from(output)));
    let Ok(watched) = watched else {
        return pending().await;
    };
    if watched.ready(Interest::ERROR).await.is_err() {
        pending().await
    }
}
