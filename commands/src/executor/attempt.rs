use event_schemas::{Event, NewEvent, Personal, StreamName};
use infra::keys::{KeyStore, KeysError, associated_data};
use uuid::Uuid;

use super::Failure;
use crate::{clock, context::Context};

/// The most bytes that one event may have, encoded.
const EVENT_BYTES: usize = 512 * 1024;

/// One attempt to append: its number is random, so that a store takes for a repeat only the very
/// same append.
#[derive(Clone, Copy)]
pub(crate) struct Attempt(Uuid);

impl Attempt {
    pub(crate) fn draw() -> Self {
        Self(Uuid::new_v4())
    }

    /// UUIDv5(command id, attempt, n).
    fn event_id(self, command_id: Uuid, n: usize) -> Uuid {
        let mut name = [0; 24];
        name[..16].copy_from_slice(self.0.as_bytes());
        name[16..].copy_from_slice(&(n as u64).to_be_bytes());
        Uuid::new_v5(&command_id, &name)
    }

    /// Seals and encodes the events of one command.
    ///
    /// # Errors
    /// [`Failure::TooLarge`] if an event is over 512 KiB, [`Failure::Unavailable`] if the key
    /// store cannot be asked.
    pub(crate) async fn encode(
        self,
        keys: &KeyStore,
        stream: &StreamName,
        events: impl IntoIterator<Item = Event>,
        context: &Context,
    ) -> Result<Vec<NewEvent>, Failure> {
        let recorded_at = clock::now();
        let mut encoded = Vec::new();
        for (n, mut event) in events.into_iter().enumerate() {
            let id = self.event_id(context.command_id(), n);
            if let Some(personal) = event.personal_mut() {
                seal(keys, stream, id, personal).await?;
            }
            let event = NewEvent::new(id, event, context.metadata(recorded_at))
                .map_err(|error| Failure::Unreadable(error.to_string()))?;
            if event.size() > EVENT_BYTES {
                return Err(Failure::TooLarge { size: event.size() });
            }
            encoded.push(event);
        }
        Ok(encoded)
    }
}

/// Seals under the key of the person that the stream is named after.
async fn seal(
    keys: &KeyStore,
    stream: &StreamName,
    id: Uuid,
    personal: &mut Personal,
) -> Result<(), Failure> {
    if let Personal::Open(data) = personal {
        let plain =
            serde_json::to_vec(data).map_err(|error| Failure::Unreadable(error.to_string()))?;
        let sealed = keys.seal(stream.id(), &associated_data(stream, id), &plain).await.map_err(
            |error| match error {
                KeysError::Full(_) => Failure::Full(error.to_string()),
                _ => Failure::Unavailable(error.to_string()),
            },
        )?;
        *personal = Personal::Sealed(sealed);
    }
    Ok(())
}
