//! What an operator can do to a subscription, as it is said before it is done.

use message_store_client::{database::Steering, error::Result};

/// A operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Let orchestrators tick it.
    Start,
    /// Hold it.
    Pause,
    /// End it.
    Stop,
    /// Replay all messages into its emptied read model.
    Rebuild,
    /// Replay all messages into copies.
    RebuildBeside,
    /// Put the copies in the place of the live tables.
    Promote,
    /// Give the copies up.
    CancelRebuild,
    /// Leave out what comes before a position.
    Skip,
    /// Go back to a position.
    Reset,
    /// Change the number of members.
    Resize,
}

/// What an operation is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Why.
    pub reason: Option<&'a str>,
    /// The position or the number of members.
    pub number: Option<i64>,
    /// Whether a table that has rows may have none afterwards.
    pub may_empty: bool,
}

const ALL: [Operation; 10] = [
    Operation::Start,
    Operation::Pause,
    Operation::Stop,
    Operation::Rebuild,
    Operation::RebuildBeside,
    Operation::Promote,
    Operation::CancelRebuild,
    Operation::Skip,
    Operation::Reset,
    Operation::Resize,
];

impl Operation {
    /// The operation of a word in a form.
    pub fn from_word(word: &str) -> Option<Self> {
        ALL.into_iter().find(|operation| operation.word() == word)
    }

    /// Its word in a form.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Stop => "stop",
            Self::Rebuild => "rebuild",
            Self::RebuildBeside => "rebuild-beside",
            Self::Promote => "promote",
            Self::CancelRebuild => "cancel-rebuild",
            Self::Skip => "skip",
            Self::Reset => "reset",
            Self::Resize => "resize",
        }
    }

    /// Its name on a button.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Pause => "Pause",
            Self::Stop => "Stop",
            Self::Rebuild => "Rebuild in place",
            Self::RebuildBeside => "Rebuild side by side",
            Self::Promote => "Promote the rebuild",
            Self::CancelRebuild => "Cancel the rebuild",
            Self::Skip => "Skip messages",
            Self::Reset => "Reset the position",
            Self::Resize => "Resize the group",
        }
    }

    /// What will happen.
    pub fn warning(self) -> &'static str {
        match self {
            Self::Start => {
                "Its init function runs. Failed attempts are forgotten. Orchestrators continue with the \
                 next message."
            }
            Self::Pause => {
                "The running tick ends first. Then no message is handled until somebody starts it again. \
                 Failed attempts are remembered."
            }
            Self::Stop => {
                "The running tick ends first. Then no message is handled until somebody starts it again."
            }
            Self::Rebuild => {
                "Its read model is emptied now and filled again from the first message. Until that is \
                 done, readers see only a part. To avoid that, rebuild side by side."
            }
            Self::RebuildBeside => {
                "A copy of its read model is filled from the first message. The live one stays as it is \
                 until you promote the copy."
            }
            Self::Promote => {
                "The copy catches up to the live position and replaces the live read model, for all \
                 readers at the same moment."
            }
            Self::CancelRebuild => {
                "The copy and all that it holds are dropped. The live read model stays."
            }
            Self::Skip => {
                "All messages after its position and up to the one you name count as handled, and no handler is \
                 called with them."
            }
            Self::Reset => {
                "It goes back, and handles the messages after the position you name once more. Its read model stays \
                 as it is: where handlers do not expect a message twice, rebuild instead."
            }
            Self::Resize => {
                "First the present members catch up with the one that is furthest ahead. Then the new ones begin."
            }
        }
    }

    /// What has happened.
    pub fn result(self) -> &'static str {
        match self {
            Self::Start => "Started.",
            Self::Pause => "Paused.",
            Self::Stop => "Stopped.",
            Self::Rebuild => "The read model is being filled again.",
            Self::RebuildBeside => "The copy is being filled beside the live read model.",
            Self::Promote => "The copy has replaced the live read model.",
            Self::CancelRebuild => "The rebuild is cancelled.",
            Self::Skip => "The messages are left out.",
            Self::Reset => "The position is set back.",
            Self::Resize => "The group is being resized.",
        }
    }

    /// True where something is gone afterwards, for a while or for good.
    pub fn is_grave(self) -> bool {
        matches!(
            self,
            Self::Stop | Self::Rebuild | Self::CancelRebuild | Self::Skip | Self::Reset
        )
    }

    /// True where the history keeps a reason.
    pub fn takes_reason(self) -> bool {
        matches!(self, Self::Pause | Self::Stop) || self.needs_reason()
    }

    /// True where nothing is done without one.
    pub fn needs_reason(self) -> bool {
        matches!(self, Self::Skip | Self::Reset)
    }

    /// The number that it needs, in words.
    pub fn asks_for(self) -> Option<&'static str> {
        match self {
            Self::Skip => Some("Global position of the last message to leave out"),
            Self::Reset => {
                Some("Global position of the last message that stays handled; 0 for none")
            }
            Self::Resize => Some("Members"),
            _ => None,
        }
    }

    /// What it only does when told to, in words.
    pub fn may_empty(self) -> Option<&'static str> {
        (self == Self::Promote).then_some("Also where a table has rows, and its copy has none")
    }

    /// Does it.
    pub async fn perform(
        self,
        steering: &Steering<'_>,
        subscriber_id: &str,
        given: Given<'_>,
    ) -> Result<()> {
        let Given {
            reason,
            number,
            may_empty,
        } = given;
        let (number, why) = (number.unwrap_or_default(), reason.unwrap_or_default());
        match self {
            Self::Start => steering.start(subscriber_id).await,
            Self::Pause => steering.pause(subscriber_id, reason).await,
            Self::Stop => steering.stop(subscriber_id, reason).await,
            Self::Rebuild | Self::RebuildBeside => {
                let side_by_side = self == Self::RebuildBeside;
                steering.rebuild(subscriber_id, side_by_side).await
            }
            Self::Promote => steering.promote(subscriber_id, may_empty).await,
            Self::CancelRebuild => steering.cancel_rebuild(subscriber_id).await,
            Self::Skip => steering.skip(subscriber_id, number, why).await,
            Self::Reset => steering.reset(subscriber_id, number, why).await,
            Self::Resize => steering.resize_group(subscriber_id, number).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_is_found_by_its_word() {
        for operation in ALL {
            assert_eq!(Operation::from_word(operation.word()), Some(operation));
        }
        assert_eq!(Operation::from_word("drop"), None);
    }
}
