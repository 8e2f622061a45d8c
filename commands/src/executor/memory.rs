use std::collections::{HashMap, VecDeque};

use event_schemas::{Metadata, RequestHash, Revision, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Commands that are remembered in any case.
const KEPT: usize = 10_000;
/// Commands that are remembered while they are at most a day older than the newest event.
const KEPT_FOR_A_DAY: usize = 100_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// The commands that an aggregate remembers, so that a repeat is known for one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CommandMemory {
    entries: HashMap<Uuid, Remembered>,
    by_age: VecDeque<(Timestamp, Uuid)>,
}

/// What is remembered of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) request_hash: Option<RequestHash>,
    /// The revision of its last event.
    pub(crate) last: Revision,
}

impl CommandMemory {
    pub(crate) fn get(&self, command_id: Uuid) -> Option<Remembered> {
        self.entries.get(&command_id).copied()
    }

    pub(crate) fn note(&mut self, metadata: &Metadata, revision: Revision) {
        let entry = Remembered { request_hash: metadata.request_hash, last: revision };
        if self.entries.insert(metadata.command_id, entry).is_none() {
            self.by_age.push_back((metadata.recorded_at, metadata.command_id));
        }
        self.forget(metadata.recorded_at);
    }

    fn forget(&mut self, newest: Timestamp) {
        while let Some(&(recorded_at, command_id)) = self.by_age.front() {
            let count = self.by_age.len();
            let old = newest.as_micros().saturating_sub(recorded_at.as_micros()) > DAY_MICROS;
            if count <= KEPT || (count <= KEPT_FOR_A_DAY && !old) {
                break;
            }
            self.by_age.pop_front();
            self.entries.remove(&command_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use event_schemas::Actor;

    use super::*;

    fn at(command: u128, micros: i64) -> Metadata {
        let time = Timestamp::saturating(micros);
        Metadata {
            schema_version: 1,
            occurred_at: time,
            recorded_at: time,
            actor: Actor::system("test"),
            command_id: Uuid::from_u128(command),
            request_hash: None,
            correlation_id: String::new(),
            causation_id: Uuid::nil(),
            traceparent: None,
        }
    }

    fn knows(memory: &CommandMemory, command: u128) -> bool {
        memory.get(Uuid::from_u128(command)).is_some()
    }

    #[test]
    fn a_commands_last_event_counts() {
        let mut memory = CommandMemory::default();
        memory.note(&at(1, 0), Revision(4));
        memory.note(&at(1, 0), Revision(5));
        assert_eq!(memory.get(Uuid::from_u128(1)).map(|entry| entry.last), Some(Revision(5)));
    }

    #[test]
    fn ten_thousand_are_kept_however_old() {
        let mut memory = CommandMemory::default();
        for command in 0..10_001 {
            memory.note(&at(command, i64::try_from(command).unwrap() * DAY_MICROS), Revision(0));
        }
        assert!(!knows(&memory, 0) && knows(&memory, 1) && knows(&memory, 10_000));
    }

    #[test]
    fn a_hundred_thousand_are_kept_for_a_day() {
        let mut memory = CommandMemory::default();
        for command in 0..100_001 {
            memory.note(&at(command, 0), Revision(0));
        }
        assert!(!knows(&memory, 0) && knows(&memory, 1));
        memory.note(&at(200_000, DAY_MICROS + 1), Revision(0));
        assert!(!knows(&memory, 90_001) && knows(&memory, 90_002));
    }
}
