use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::events;

events! {
    /// What happens to the claim of an e-mail address. The stream is named by the keyed hash of
    /// the address, so no event names it.
    EmailEvent in "email" {
        Claimed(EmailClaimed) = "EmailClaimed" 1,
        Released(EmailReleased) = "EmailReleased" 1,
    }
}

/// A user claimed the address; met a second time, another user took the claim over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmailClaimed {
    /// The user that owns the address.
    pub user_id: String,
    /// The command that claims it.
    pub claim: Uuid,
}

/// The address is free again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmailReleased {
    /// The command that had claimed it.
    pub claim: Uuid,
}
