use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Metadata, Personal, Timestamp, UserEvent};

/// A user, as `GET /v1/users/{id}` answers once what is personal is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserResource {
    /// The user's id.
    pub id: String,
    /// Sealed; `None` for an imported customer and for a user who was forgotten.
    pub personal: Option<Personal>,
    /// The event that `personal` came with: it is needed to open it.
    #[serde(skip_serializing)]
    pub personal_event: Option<Uuid>,
    /// When the user came to be.
    pub registered_at: Timestamp,
}

impl UserResource {
    /// The user after one more event, whose id is `event_id`; `None` before the first.
    pub fn evolve(
        before: Option<Self>,
        id: &str,
        event: &UserEvent,
        metadata: &Metadata,
        event_id: Uuid,
    ) -> Option<Self> {
        match event {
            UserEvent::Registered(registered) => Some(Self {
                id: id.to_owned(),
                personal: registered.personal.clone(),
                personal_event: registered.personal.as_ref().map(|_| event_id),
                registered_at: metadata.occurred_at,
            }),
            UserEvent::ClaimAbandoned(_) => before,
            UserEvent::Forgotten(_) => {
                before.map(|user| Self { personal: None, personal_event: None, ..user })
            }
        }
    }
}
