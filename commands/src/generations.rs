use std::{collections::HashMap, hash::Hash, mem};

/// A bounded cache of two generations: what is used moves to the young one; when that is full, the
/// old one is dropped and the young one grows old. Holds at most twice `capacity`.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    capacity: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V> Generations<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// The value of `key`, which is now among the young.
    pub(crate) fn get<Q>(&mut self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.young.insert(key, value);
        }
        self.young.get(key)
    }

    /// Adds a value; what is dropped for it, if the caller's `keep` lets it go, leaves.
    pub(crate) fn insert(&mut self, key: K, value: V, keep: impl Fn(&V) -> bool) {
        if self.young.len() >= self.capacity {
            self.age(keep);
        }
        self.young.insert(key, value);
    }

    /// The young grow old; the old leave, except those to be kept.
    pub(crate) fn age(&mut self, keep: impl Fn(&V) -> bool) {
        let left = mem::replace(&mut self.old, mem::take(&mut self.young));
        self.young = left.into_iter().filter(|(_, value)| keep(value)).collect();
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_leaves() {
        let mut cache = Generations::new(2);
        for key in 0..10 {
            cache.insert(key, key, |_| false);
            assert_eq!(cache.get(&0), Some(&0), "used again and again");
            assert!(cache.len() <= 4);
        }
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn what_must_be_kept_is_kept() {
        let mut cache = Generations::new(1);
        for key in 0..10 {
            cache.insert(key, key, |value| *value == 0);
        }
        assert_eq!(cache.get(&0), Some(&0));
        assert_eq!(cache.get(&5), None);
    }
}
