use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::events;

events! {
    /// What is looked at. The stream is named by the id of the user whose it is.
    AccessEvent in "access" {
        Opened(PersonalDataOpened) = "PersonalDataOpened" 1,
    }
}

/// Somebody, the event's actor, is given what is personal of a user in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PersonalDataOpened {
    /// Whose it is.
    pub user_id: String,
    /// The query that opened it, such as `/v1/users/{id}`.
    pub route: String,
    /// Why, where the actor said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
