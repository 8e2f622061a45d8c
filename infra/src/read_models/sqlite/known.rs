use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What this process knows of the read models in a directory.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<&'static str, Arc<Live>>>);

/// Which generation of a read model is read.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// 0 before anybody has looked.
    number: AtomicU64,
    posting: Mutex<()>,
}

impl Known {
    pub(super) fn of(&self, name: &'static str) -> Arc<Live> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(name).or_default())
    }
}

impl Live {
    pub(super) fn number(&self) -> Option<u64> {
        Some(self.number.load(Ordering::Acquire)).filter(|&number| number > 0)
    }

    /// From here on that one is read. [`Live::posting`] is held.
    pub(super) fn switch(&self, number: u64) {
        self.number.store(number, Ordering::Release);
    }

    /// That one was found to be the newest; false if somebody else has switched meanwhile.
    pub(super) fn found(&self, before: Option<u64>, number: u64) -> bool {
        let (release, before) = (Ordering::AcqRel, before.unwrap_or(0));
        self.number.compare_exchange(before, number, release, Ordering::Acquire).is_ok()
    }

    /// Held while rows are posted into the generation that is read, and while another one takes
    /// its place: nothing is posted into one that was replaced.
    pub(super) fn posting(&self) -> MutexGuard<'_, ()> {
        self.posting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
