//! Where lines of messages are written: a pipe, a file, or a compressed file.

use std::{
    fs::File,
    future::pending,
    io::{self, BufWriter, ErrorKind, Stdout, Write, stdout},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

use super::pipe::reader_left;
use crate::error::{Error, Result};

/// Bytes that are kept before they are written.
const BUFFER: usize = 1 << 20;

/// What is written to.
pub(super) struct Output {
    name: String,
    writer: Writer,
}

enum Writer {
    Pipe(BufWriter<Stdout>),
    Plain(BufWriter<File>),
    Compressed(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// A new file, compressed where its name ends in `.gz`; else standard output.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                name: "standard output".to_owned(),
                writer: Writer::Pipe(BufWriter::with_capacity(BUFFER, stdout())),
            });
        };
        let name = path.display().to_string();
        // A file that is there is somebody's.
        let file = File::create_new(path).map_err(|error| Error::Input {
            origin: name.clone(),
            problem: format!("cannot be made: {error}"),
        })?;
        let file = BufWriter::with_capacity(BUFFER, file);
        let writer = match path.extension().is_some_and(|kind| kind == "gz") {
            true => Writer::Compressed(GzEncoder::new(file, Compression::default())),
            false => Writer::Plain(file),
        };
        Ok(Self { name, writer })
    }

    /// Returns when nobody reads it any more; never for a file of our own.
    pub(super) async fn reader_left(&self) {
        match self.writer {
            Writer::Pipe(_) => reader_left().await,
            Writer::Plain(_) | Writer::Compressed(_) => pending().await,
        }
    }

    /// False where the reader of our output has gone, as `head` does.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<bool> {
        let written = match &mut self.writer {
            Writer::Pipe(pipe) => pipe.write_all(line),
            Writer::Plain(file) => file.write_all(line),
            Writer::Compressed(file) => file.write_all(line),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            written => written
                .map(|()| true)
                .map_err(Error::io(format!("write to {}", self.name))),
        }
    }

    /// Writes out what was kept; a file is then on disk.
    pub(super) fn finish(self) -> Result<()> {
        let finished = match self.writer {
            Writer::Pipe(mut pipe) => pipe.flush(),
            Writer::Plain(file) => on_disk(file),
            Writer::Compressed(file) => file.finish().and_then(on_disk),
        };
        match finished {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            finished => finished.map_err(Error::io(format!("write to {}", self.name))),
        }
    }
}

fn on_disk(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner()?.sync_all()
}
