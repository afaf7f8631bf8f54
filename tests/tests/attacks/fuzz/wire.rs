//! A session of which every byte is ours: what a library would refuse to send, or could not read.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;

/// A server that says nothing for this long hangs: statements end sooner.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is sent, up to the server's being ready again.
#[derive(Debug)]
pub enum Request {
    /// A message of the simple protocol; the bytes need not be text.
    Simple(Vec<u8>),
    /// A statement with parameters, its rows fetched `rows` at a time, twice; 0 for all.
    Extended {
        sql: String,
        parameters: Vec<Parameter>,
        rows: i32,
    },
}

impl From<String> for Request {
    fn from(sql: String) -> Self {
        Self::Simple(sql.into_bytes())
    }
}

impl From<&str> for Request {
    fn from(sql: &str) -> Self {
        Self::Simple(sql.as_bytes().to_vec())
    }
}

/// A parameter as it is sent; no bytes for NULL.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub type_oid: u32,
    pub is_binary: bool,
    pub bytes: Option<Vec<u8>>,
}

/// An error of the server's.
#[derive(Debug)]
pub struct Refusal {
    pub sqlstate: String,
    /// All of its parts, whatever bytes they have.
    pub text: String,
}

/// How the session ended.
#[derive(Debug)]
pub enum Gone {
    /// The server closed it, after these errors.
    Closed(Vec<Refusal>),
    /// Nothing came for as long as we wait.
    Silent,
}

/// A connection.
pub struct Wire {
    stream: UnixStream,
    received: BytesMut,
    /// The server process.
    pub pid: i32,
}

impl Wire {
    /// Connects; every answer is in the database's own bytes where `client_encoding` says so.
    pub fn open(
        folder: &Path,
        database: &str,
        role: &str,
        client_encoding: &str,
    ) -> Result<Self, Gone> {
        let stream = UnixStream::connect(folder.join(".s.PGSQL.5432")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut wire = Self {
            stream,
            received: BytesMut::new(),
            pid: 0,
        };
        let mut message = BytesMut::new();
        let parameters = [
            ("user", role),
            ("database", database),
            ("client_encoding", client_encoding),
        ];
        frontend::startup_message(parameters, &mut message).unwrap();
        let refusals = wire.exchange(&message, 1)?;
        match refusals.is_empty() {
            true => Ok(wire),
            false => Err(Gone::Closed(refusals)),
        }
    }

    /// Sends all of them at once, and returns the errors that were answered.
    pub fn play(&mut self, requests: &[Request]) -> Result<Vec<Refusal>, Gone> {
        let mut message = BytesMut::new();
        for request in requests {
            match request {
                Request::Simple(sql) => put_query(sql, &mut message),
                Request::Extended {
                    sql,
                    parameters,
                    rows,
                } => put_statement(sql, parameters, *rows, &mut message),
            }
        }
        self.exchange(&message, requests.len())
    }

    /// Rows of one statement, as text, or its error.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let mut message = BytesMut::new();
        put_query(sql.as_bytes(), &mut message);
        let mut rows = Vec::new();
        let refusals = self.receive(&message, 1, |message| {
            if let Message::DataRow(row) = message {
                let value = |range: Option<std::ops::Range<usize>>| {
                    range.map(|range| String::from_utf8_lossy(&row.buffer()[range]).into_owned())
                };
                rows.push(
                    row.ranges()
                        .map(|range| Ok(value(range)))
                        .collect()
                        .unwrap(),
                );
            }
        });
        match refusals {
            Ok(refusals) if refusals.is_empty() => Ok(rows),
            other => Err(format!("{other:?}: {sql}")),
        }
    }

    fn exchange(&mut self, message: &[u8], answers: usize) -> Result<Vec<Refusal>, Gone> {
        self.receive(message, answers, |_| {})
    }

    /// Sends, and reads until the server was ready that many times.
    fn receive(
        &mut self,
        message: &[u8],
        mut answers: usize,
        mut look: impl FnMut(&Message),
    ) -> Result<Vec<Refusal>, Gone> {
        // A server that has gone is noticed by its last words, which may still be there.
        let _ = self.stream.write_all(message);
        let mut refusals = Vec::new();
        while answers > 0 {
            let message = match self.next() {
                Ok(Some(message)) => message,
                Ok(None) => return Err(Gone::Closed(refusals)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Gone::Silent);
                }
                Err(_) => return Err(Gone::Closed(refusals)),
            };
            match &message {
                Message::ErrorResponse(body) => refusals.push(Refusal::read(body)),
                Message::BackendKeyData(key) => self.pid = key.process_id(),
                Message::ReadyForQuery(_) => answers -= 1,
                other => look(other),
            }
        }
        Ok(refusals)
    }

    /// The next message; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = Message::parse(&mut self.received)? {
                return Ok(Some(message));
            }
            let mut bytes = [0; 16 << 10];
            match self.stream.read(&mut bytes)? {
                0 => return Ok(None),
                length => self.received.put_slice(&bytes[..length]),
            }
        }
    }
}

impl Refusal {
    fn read(body: &ErrorResponseBody) -> Self {
        let mut refusal = Self {
            sqlstate: String::new(),
            text: String::new(),
        };
        let mut fields = body.fields();
        while let Some(field) = fields.next().unwrap() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => refusal.sqlstate = value,
                // Where in PostgreSQL's sources it was raised.
                b'F' | b'L' | b'R' | b'V' => {}
                _ => {
                    refusal.text.push_str(&value);
                    refusal.text.push('\n');
                }
            }
        }
        refusal
    }
}

fn put_query(sql: &[u8], message: &mut BytesMut) {
    message.put_u8(b'Q');
    message.put_i32(i32::try_from(sql.len() + 5).unwrap());
    message.put_slice(sql);
    message.put_u8(0);
}

fn put_statement(sql: &str, parameters: &[Parameter], rows: i32, message: &mut BytesMut) {
    let types = parameters.iter().map(|parameter| parameter.type_oid);
    frontend::parse("", sql, types, message).unwrap();
    let formats = parameters
        .iter()
        .map(|parameter| i16::from(parameter.is_binary));
    let put_value = |parameter: &Parameter, message: &mut BytesMut| match &parameter.bytes {
        Some(bytes) => {
            message.put_slice(bytes);
            Ok(IsNull::No)
        }
        None => Ok(IsNull::Yes),
    };
    let is_binary = [1];
    let bound = frontend::bind("", "", formats, parameters, put_value, is_binary, message);
    assert!(bound.is_ok(), "parameters that fit into a message");
    frontend::execute("", rows, message).unwrap();
    frontend::execute("", rows, message).unwrap();
    frontend::sync(message);
}
