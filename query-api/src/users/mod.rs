//! Queries about users. What is personal is opened here, on reading, and stored nowhere; that it
//! was opened is recorded.

pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod one;
pub(crate) mod opener;
pub(crate) mod summary;

use event_schemas::{Personal, StreamName, Timestamp, UserEvent, resource::UserResource};
use infra::{
    http::{Problem, UNAVAILABLE},
    keys::{KeyStore, associated_data},
    read_models::{ReadModelError, Row},
};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::QueryState;
use opener::Opener;

/// The columns of a [`Sealed`] user.
const COLUMNS: &str = "id, registered_at, personal, personal_event";

/// A user with what is personal sealed.
pub(crate) struct Sealed {
    id: String,
    registered_at: i64,
    personal: Option<String>,
    personal_event: Option<String>,
}

#[derive(Serialize)]
struct Opened<'a> {
    id: &'a str,
    personal: Option<Box<RawValue>>,
    registered_at: Timestamp,
}

impl Sealed {
    /// From [`COLUMNS`] beginning at `first`.
    fn read(row: &mut Row, first: usize) -> Result<Self, ReadModelError> {
        Ok(Self {
            id: row.text(first)?,
            registered_at: row.integer(first + 1)?,
            personal: row.optional_text(first + 2)?,
            personal_event: row.optional_text(first + 3)?,
        })
    }

    /// As it was at a moment.
    pub(crate) fn of(user: &UserResource) -> Self {
        let personal = match &user.personal {
            Some(Personal::Sealed(sealed)) => Some(sealed.clone()),
            _ => None,
        };
        Self {
            id: user.id.clone(),
            registered_at: user.registered_at.as_micros(),
            personal,
            personal_event: user.personal_event.map(|event| event.to_string()),
        }
    }

    /// The document as it goes out, once it is recorded that it was opened. `personal` is null for
    /// who has none and for who was forgotten: then nothing is opened.
    ///
    /// # Errors
    /// 503 if the key store cannot be read, or the event store not be written.
    pub(crate) async fn open(
        &self,
        state: &QueryState,
        opener: &Opener,
    ) -> Result<String, Problem> {
        let opened = self.opened(&state.keys).await?;
        if opened.is_some() {
            opener.record(&state.store, &self.id).await?;
        }
        self.document(opened)
    }

    /// What is personal, in the clear. Whoever asks sees to it that it is recorded.
    async fn opened(&self, keys: &KeyStore) -> Result<Option<Box<RawValue>>, Problem> {
        let (Some(sealed), Some(event)) = (&self.personal, &self.personal_event) else {
            return Ok(None);
        };
        let event = Uuid::try_parse(event).map_err(Problem::internal)?;
        unseal(keys, &self.id, sealed, event).await
    }

    fn document(&self, personal: Option<Box<RawValue>>) -> Result<String, Problem> {
        let registered_at = Timestamp::saturating(self.registered_at);
        serde_json::to_string(&Opened { id: &self.id, personal, registered_at })
            .map_err(Problem::internal)
    }
}

/// What was sealed in an event of a user; `None` if the key is gone.
async fn unseal(
    keys: &KeyStore,
    user_id: &str,
    sealed: &str,
    event: Uuid,
) -> Result<Option<Box<RawValue>>, Problem> {
    let stream = StreamName::new(UserEvent::CATEGORY, user_id);
    let opened = keys.unseal(user_id, &associated_data(&stream, event), sealed).await;
    let plain = opened.map_err(|error| {
        Problem::new(&UNAVAILABLE, "The key store cannot be read now. Send the query again.")
            .because(error)
    })?;
    let read = |plain: Vec<u8>| serde_json::from_slice(&plain).map_err(Problem::internal);
    plain.map(read).transpose()
}
