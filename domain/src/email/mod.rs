//! The claim of an e-mail address: its stream is named by the keyed hash of the address.

use event_schemas::{EmailClaimed, EmailEvent, EmailReleased};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    Decider,
    claim::{self, Claim, Claiming},
};

/// The aggregate behind `email-<hash>`.
#[derive(Debug)]
pub enum EmailClaim {}

/// What can be asked of the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Claim the address for a user.
    Claim {
        /// The user that is to own it.
        user_id: String,
        /// The command that claims it.
        claim: Uuid,
    },
    /// Claim the address in place of a claim that was abandoned in its owner's own stream.
    TakeOver {
        /// The command whose claim was abandoned.
        abandoned: Uuid,
        /// The user that is to own it.
        user_id: String,
        /// The command that claims it.
        claim: Uuid,
    },
    /// Give the claim of a command back.
    Release {
        /// The command that made the claim.
        claim: Uuid,
    },
}

/// The claim as the events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The claim that stands; the owner is a user.
    pub claim: Option<Claim>,
}

/// Why the claim is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Another claim stands.
    #[error("another user has this e-mail address")]
    EmailTaken {
        /// The user that has it.
        user_id: String,
        /// The command that claimed it.
        claim: Uuid,
    },
}

impl Decider for EmailClaim {
    const CATEGORY: &'static str = EmailEvent::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = EmailEvent;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command) -> Result<Vec<EmailEvent>, Rejection> {
        match command {
            Command::Claim { user_id, claim } => {
                take(state, Claim { owner: user_id, command: claim }, None)
            }
            Command::TakeOver { abandoned, user_id, claim } => {
                take(state, Claim { owner: user_id, command: claim }, Some(abandoned))
            }
            Command::Release { claim } => match &state.claim {
                Some(held) if held.command == claim => Ok(vec![EmailReleased { claim }.into()]),
                _ => Ok(vec![]),
            },
        }
    }

    fn evolve(mut state: State, event: &EmailEvent) -> State {
        match event {
            EmailEvent::Claimed(event) => {
                state.claim = Some(Claim { owner: event.user_id.clone(), command: event.claim });
            }
            EmailEvent::Released(_) => state.claim = None,
        }
        state
    }
}

fn take(
    state: &State,
    wanted: Claim,
    abandoned: Option<Uuid>,
) -> Result<Vec<EmailEvent>, Rejection> {
    match claim::claim(state.claim.as_ref(), &wanted, abandoned) {
        Ok(Claiming::Granted) => {
            Ok(vec![EmailClaimed { user_id: wanted.owner, claim: wanted.command }.into()])
        }
        Ok(Claiming::Stands) => Ok(vec![]),
        Err(held) => Err(Rejection::EmailTaken { user_id: held.owner, claim: held.command }),
    }
}
