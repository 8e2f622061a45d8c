use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    KeysError,
    seal::{Key, open_sealed, seal_with},
};

/// How long a key is held in memory: with the second that it may take until it is let go and the
/// time that a read takes, another process can use a destroyed one for less than five seconds.
const HELD: Duration = Duration::from_secs(4);
/// The most keys held in memory.
const MAX_HELD: usize = 10_000;

/// The key of a person who ever had one.
#[derive(Clone, Copy)]
pub(super) enum PersonKey {
    Present(Key),
    Destroyed,
}

/// Keys that were used a moment ago.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<String, (PersonKey, Instant)>>);

impl From<Option<Key>> for PersonKey {
    /// As it is stored: the place of a destroyed key stays.
    fn from(stored: Option<Key>) -> Self {
        stored.map_or(Self::Destroyed, Self::Present)
    }
}

impl PersonKey {
    pub(super) fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<String, KeysError> {
        match self {
            Self::Present(key) => seal_with(key, associated, plain),
            Self::Destroyed => Err(KeysError::Destroyed),
        }
    }

    pub(super) fn unseal(
        &self,
        associated: &[u8],
        sealed: &str,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        match self {
            Self::Present(key) => open_sealed(key, associated, sealed).map(Some),
            Self::Destroyed => Ok(None),
        }
    }
}

impl Held {
    pub(super) fn find(&self, person: &str) -> Option<PersonKey> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(person).filter(|(_, since)| since.elapsed() < HELD).map(|(key, _)| *key)
    }

    pub(super) fn let_go(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (_, since)| since.elapsed() < HELD);
    }

    pub(super) fn hold(&self, person: &str, key: PersonKey) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What was read before it was destroyed must not take the place of that knowledge.
        let destroyed = matches!(held.get(person), Some((PersonKey::Destroyed, _)));
        if held.len() >= MAX_HELD {
            held.clear();
        }
        if !destroyed || matches!(key, PersonKey::Destroyed) {
            held.insert(person.to_owned(), (key, Instant::now()));
        }
    }
}
