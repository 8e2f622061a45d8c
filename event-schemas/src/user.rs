use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ClaimAbandoned, Personal, codec::events};

events! {
    /// What happens to a user.
    UserEvent in "user" {
        Registered(UserRegistered) = "UserRegistered" 1,
        ClaimAbandoned(ClaimAbandoned) = "ClaimAbandoned" 1,
        Forgotten(UserForgotten) = "UserForgotten" 1,
    }
}

/// A user came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserRegistered {
    /// The user's id.
    pub user_id: String,
    /// Name and e-mail address, sealed; imported customers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<Personal>,
    /// The command that claimed the e-mail address, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Uuid>,
}

/// A person is forgotten: the key that the personal values were sealed under is destroyed once
/// this stands in the log, and the stream takes none any more. Whatever e-mail address the user
/// claimed can be claimed by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserForgotten {
    /// The user's id.
    pub user_id: String,
    /// Why. It is kept in the clear for ever, so it names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
