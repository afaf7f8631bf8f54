//! The messages that one call returns, and how many they may be.

use crate::error::Error;
use crate::message::{self, MessageText};
use crate::pg::call::{Call, Reply};
use crate::pg::rows::Rows;
use crate::pg::scan::IndexScan;
use crate::tables::messages::{self, column};

/// How many messages one call may return.
#[derive(Clone, Copy)]
pub struct BatchSize(Option<u64>);

impl BatchSize {
    const DEFAULT: i64 = 1000;
    const UNLIMITED: i64 = -1;
    const FEW: u64 = 32;
    /// One message.
    pub const ONE: Self = Self(Some(1));

    /// The argument as it is meant: NULL is the default.
    pub fn meant(batch_size: Option<i64>) -> i64 {
        batch_size.unwrap_or(Self::DEFAULT)
    }

    /// NULL is the default, -1 is no limit, anything below is refused as LIMIT refuses it.
    pub fn from_argument(batch_size: Option<i64>) -> Result<Self, Error> {
        match Self::meant(batch_size) {
            Self::UNLIMITED => Ok(Self(None)),
            size => u64::try_from(size)
                .map(|size| Self(Some(size)))
                .map_err(|_| Error::NegativeLimit),
        }
    }

    /// As a LIMIT clause takes it, which checks it itself; `None` for no limit.
    pub fn limit(batch_size: Option<i64>) -> Option<i64> {
        let meant = Self::meant(batch_size);
        (meant != Self::UNLIMITED).then_some(meant)
    }

    fn allows_another(self, returned: u64) -> bool {
        self.0.is_none_or(|limit| returned < limit)
    }

    /// For a batch of a few messages: where it ends in a stream without holes. An index looks at
    /// every entry of a page that satisfies the conditions before it returns the first, so it is
    /// asked for no more.
    pub fn few_from(self, position: i64) -> Option<i64> {
        let size = self.0.filter(|size| (1..=Self::FEW).contains(size))?;
        position.checked_add(size as i64 - 1)
    }
}

/// No messages.
pub fn empty(call: &Call<'_>) -> Reply {
    Rows::begin(call, &message::TYPES).finish()
}

/// Returns the rows of `scan` that `wanted` keeps, until there are enough.
pub fn of_scan(
    call: &Call<'_>,
    scan: IndexScan<'_>,
    size: BatchSize,
    wanted: impl Fn(&IndexScan<'_>) -> Result<bool, Error>,
) -> Result<Reply, Error> {
    let mut page = MessagePage::begin(call, size);
    page.fill(scan, wanted)?;
    Ok(page.finish())
}

/// The messages that one call returns.
pub struct MessagePage {
    rows: Rows<{ messages::COLUMNS }>,
    text: MessageText,
    size: BatchSize,
    returned: u64,
    /// The global position of the last message.
    last: Option<i64>,
}

impl MessagePage {
    /// Empty.
    pub fn begin(call: &Call<'_>, size: BatchSize) -> Self {
        Self {
            rows: Rows::begin(call, &message::TYPES),
            text: MessageText::new(),
            size,
            returned: 0,
            last: None,
        }
    }

    /// Puts a row behind the messages that has only a global position: up to there the page has every message,
    /// of those that were looked for up to a horizon.
    pub fn end_with_horizon(&mut self, horizon: i64) {
        let complete_to = match self.last {
            Some(last) if self.is_full() => last,
            _ => horizon,
        };
        self.rows.push(|| {
            let mut values = [None; messages::COLUMNS];
            values[message::GLOBAL_POSITION] = Some(complete_to.into());
            values
        });
    }

    /// Whether it has as many messages as it may have.
    pub fn is_full(&self) -> bool {
        !self.size.allows_another(self.returned)
    }

    /// Adds the rows of `scan` that `wanted` keeps, until it is full.
    pub fn fill(
        &mut self,
        scan: IndexScan<'_>,
        wanted: impl Fn(&IndexScan<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut scan = scan.taking(messages::COLUMNS);
        while !self.is_full() && scan.advance() {
            pgrx::check_for_interrupts!();
            if wanted(&scan)? {
                self.rows.push(|| self.text.values(&scan));
                self.returned += 1;
                self.last = Some(scan.bigint(column::GLOBAL_POSITION));
            }
        }
        Ok(())
    }

    /// The call's reply.
    pub fn finish(self) -> Reply {
        self.rows.finish()
    }
}
