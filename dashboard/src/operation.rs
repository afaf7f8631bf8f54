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
}

const ALL: [Operation; 7] = [
    Operation::Start,
    Operation::Pause,
    Operation::Stop,
    Operation::Rebuild,
    Operation::RebuildBeside,
    Operation::Promote,
    Operation::CancelRebuild,
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
        }
    }

    /// True where something is gone afterwards, for a while or for good.
    pub fn is_grave(self) -> bool {
        matches!(self, Self::Stop | Self::Rebuild | Self::CancelRebuild)
    }

    /// True where the history keeps a reason.
    pub fn takes_reason(self) -> bool {
        matches!(self, Self::Pause | Self::Stop)
    }

    /// Does it.
    pub async fn perform(
        self,
        steering: &Steering<'_>,
        subscriber_id: &str,
        reason: Option<&str>,
    ) -> Result<()> {
        match self {
            Self::Start => steering.start(subscriber_id).await,
            Self::Pause => steering.pause(subscriber_id, reason).await,
            Self::Stop => steering.stop(subscriber_id, reason).await,
            Self::Rebuild | Self::RebuildBeside => {
                let side_by_side = self == Self::RebuildBeside;
                steering.rebuild(subscriber_id, side_by_side).await
            }
            Self::Promote => steering.promote(subscriber_id).await,
            Self::CancelRebuild => steering.cancel_rebuild(subscriber_id).await,
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
