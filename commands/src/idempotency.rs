use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use event_schemas::RequestHash;
use infra::keys::KeyStore;
use serde::Serialize;
use uuid::{Uuid, uuid};

/// The namespace of Daybook's command ids.
const NAMESPACE: Uuid = uuid!("8c0f4f0e-5a52-4f0a-9a3f-0f6d3d0b7c11");

/// UUIDv5 over the length-prefixed parts: for a request caller, method, path and key; for an
/// import `import`, what it imports and the file's id.
pub fn command_id(parts: &[&str]) -> Uuid {
    let mut name = Vec::with_capacity(128);
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

/// The keyed hash of what a request asks for. `body` is the parsed body, so white space and the
/// sequence of members do not count.
pub fn request_hash<T: Serialize>(keys: &KeyStore, body: &T) -> RequestHash {
    // A parsed body is a tree of strings and integers, which always serializes.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let digest = keys.keyed_hash("request", &bytes);
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    RequestHash(short)
}

/// The commands that this node is at work on: a second request with the same key is told so.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<Uuid>>>);

/// The right to work on one command; given back when dropped.
pub(crate) struct Entered {
    commands: InFlight,
    command_id: Uuid,
}

impl InFlight {
    /// `None` if the command is in flight already.
    pub(crate) fn enter(&self, command_id: Uuid) -> Option<Entered> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(command_id);
        entered.then(|| Entered { commands: self.clone(), command_id })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut commands = self.commands.0.lock().unwrap_or_else(PoisonError::into_inner);
        commands.remove(&self.command_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_ne!(command_id(&["ab", "c"]), command_id(&["a", "bc"]));
        assert_ne!(command_id(&["a", ""]), command_id(&["a"]));
        assert_eq!(command_id(&["a", "b"]), command_id(&["a", "b"]));
    }

    #[test]
    fn a_command_is_entered_once_at_a_time() {
        let commands = InFlight::default();
        let id = Uuid::from_u128(1);
        let entered = commands.enter(id);
        assert!(entered.is_some());
        assert!(commands.enter(id).is_none());
        drop(entered);
        assert!(commands.enter(id).is_some());
    }
}
