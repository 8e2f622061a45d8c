//! A user.

use std::collections::BTreeSet;

use event_schemas::{ClaimAbandoned, Personal, UserEvent, UserForgotten, UserRegistered};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::Decider;

/// The aggregate behind `user-<id>`.
#[derive(Debug)]
pub enum User {}

/// What can be asked of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make the user; the e-mail address has been claimed, where there is one.
    Register {
        /// This command.
        command_id: Uuid,
        /// The user's id.
        user_id: String,
        /// Name and e-mail address.
        personal: Option<Personal>,
        /// The command that claimed the e-mail address, where there is one.
        claim: Option<Uuid>,
    },
    /// Give up a claim of an e-mail address that this user made and never fulfilled.
    AbandonClaim {
        /// The command that made the claim.
        command_id: Uuid,
    },
    /// Forget the person.
    Forget {
        /// The user's id.
        user_id: String,
        /// Why; it is kept in the clear.
        reason: Option<String>,
    },
}

/// A user as the events left it. It knows no personal value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether the user was registered: claims can be abandoned before that.
    pub registered: bool,
    /// Whether the person was forgotten: no personal value is taken any more.
    pub forgotten: bool,
    /// The command that claimed the user's e-mail address, where there is one and the user is not
    /// forgotten.
    pub claim: Option<Uuid>,
    /// The commands whose claims were abandoned; they are refused for ever.
    pub abandoned: BTreeSet<Uuid>,
}

/// Why a user refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The user was registered by another command.
    #[error("there is a user with this id already")]
    AlreadyExists,
    /// Another command took the e-mail address over: this one came too late.
    #[error(
        "the request took too long and its e-mail address was given up; send it again with a new key"
    )]
    ClaimAbandoned,
    /// The claim was fulfilled: the user was registered with it.
    #[error("the user was registered with this e-mail address")]
    ClaimStands,
    /// Nobody was ever registered here.
    #[error("there is no user with this id")]
    NotFound,
}

impl Decider for User {
    const CATEGORY: &'static str = UserEvent::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = UserEvent;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command) -> Result<Vec<UserEvent>, Rejection> {
        match command {
            Command::Register { command_id, user_id, personal, claim } => {
                if state.abandoned.contains(&command_id) {
                    return Err(Rejection::ClaimAbandoned);
                }
                if state.registered {
                    return Err(Rejection::AlreadyExists);
                }
                Ok(vec![UserRegistered { user_id, personal, claim }.into()])
            }
            Command::AbandonClaim { command_id } => {
                if state.claim == Some(command_id) {
                    return Err(Rejection::ClaimStands);
                }
                if state.abandoned.contains(&command_id) {
                    return Ok(vec![]);
                }
                Ok(vec![ClaimAbandoned { command_id }.into()])
            }
            Command::Forget { .. } if !state.registered => Err(Rejection::NotFound),
            Command::Forget { .. } if state.forgotten => Ok(vec![]),
            Command::Forget { user_id, reason } => {
                Ok(vec![UserForgotten { user_id, reason }.into()])
            }
        }
    }

    fn evolve(mut state: State, event: &UserEvent) -> State {
        match event {
            UserEvent::Registered(event) => {
                state.registered = true;
                state.claim = event.claim;
            }
            UserEvent::ClaimAbandoned(event) => {
                state.abandoned.insert(event.command_id);
            }
            // The address is another's to claim.
            UserEvent::Forgotten(_) => {
                state.forgotten = true;
                state.claim = None;
            }
        }
        state
    }
}
