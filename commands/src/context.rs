use std::sync::Arc;

use event_schemas::{Actor, Metadata, RequestHash, Timestamp};
use uuid::Uuid;

use crate::idempotency::command_id;

/// What every event of one command says of where it came from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context(Arc<Origin>);

/// The parts of a [`Context`].
#[derive(Clone, Debug)]
pub struct Origin {
    /// The command's id.
    pub command_id: Uuid,
    /// The keyed hash of the command's parsed body; a process has none.
    pub request_hash: Option<RequestHash>,
    /// Who acts.
    pub actor: Actor,
    /// What it belongs to.
    pub correlation_id: String,
    /// The event that a process reacts to; for a request the command itself.
    pub causation_id: Uuid,
    /// The trace context that came with the request.
    pub traceparent: Option<String>,
    /// When it happened, where that is not now: the past's own time for imports.
    pub occurred_at: Option<Timestamp>,
}

impl From<Origin> for Context {
    fn from(origin: Origin) -> Self {
        Self(Arc::new(origin))
    }
}

impl Context {
    /// The context of a process that reacts to an event. The command's id is a function of both,
    /// so a reaction that is repeated is the same command.
    pub fn reaction(process: &str, event: Uuid, correlation_id: &str) -> Self {
        Origin {
            command_id: Uuid::new_v5(&event, process.as_bytes()),
            request_hash: None,
            actor: Actor::system(process),
            correlation_id: correlation_id.to_owned(),
            causation_id: event,
            traceparent: None,
            occurred_at: None,
        }
        .into()
    }

    /// The context of an import of one thing: `kind` and `id` are its key.
    pub fn import(
        kind: &str,
        id: &str,
        request_hash: RequestHash,
        occurred_at: Option<Timestamp>,
    ) -> Self {
        let command_id = command_id(&["import", kind, id]);
        Origin {
            command_id,
            request_hash: Some(request_hash),
            actor: Actor::import(kind),
            correlation_id: command_id.to_string(),
            causation_id: command_id,
            traceparent: None,
            occurred_at,
        }
        .into()
    }

    /// The context of a part of this command that appends to another stream of the same kind: it
    /// must not be remembered there as the command itself.
    pub(crate) fn part(&self, name: &str) -> Self {
        let origin = Origin::clone(&self.0);
        let command_id = Uuid::new_v5(&origin.command_id, name.as_bytes());
        Origin { command_id, causation_id: origin.command_id, ..origin }.into()
    }

    /// The command's id.
    pub fn command_id(&self) -> Uuid {
        self.0.command_id
    }

    /// The keyed hash of the command's parsed body.
    pub fn request_hash(&self) -> Option<RequestHash> {
        self.0.request_hash
    }

    /// When what this command does happens.
    pub fn occurred_at(&self) -> Timestamp {
        self.0.occurred_at.unwrap_or_else(crate::clock::now)
    }

    /// The metadata of an event recorded now. The schema version is set when it is encoded.
    pub(crate) fn metadata(&self, recorded_at: Timestamp) -> Metadata {
        Metadata {
            schema_version: 1,
            occurred_at: self.0.occurred_at.unwrap_or(recorded_at),
            recorded_at,
            actor: self.0.actor.clone(),
            command_id: self.0.command_id,
            request_hash: self.0.request_hash,
            correlation_id: self.0.correlation_id.clone(),
            causation_id: self.0.causation_id,
            traceparent: self.0.traceparent.clone(),
        }
    }
}
