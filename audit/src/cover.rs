//! A run of leaves as the fewest whole subtrees that cover it, the larger ones in the middle. Over
//! a run that begins with the first leaf they are what a tree needs to grow, and fold to its root.

use crate::hash::{Hash, of_node, of_nothing};

/// The nodes that cover the leaves from `begin` up to `end` (exclusive), from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    begin: u64,
    end: u64,
    /// Each with its level: a node of level n covers 2^n leaves.
    nodes: Vec<(u32, Hash)>,
}

impl Cover {
    /// Of nothing yet, from this leaf on.
    pub const fn from(begin: u64) -> Self {
        Self { begin, end: begin, nodes: Vec::new() }
    }

    /// How far it reaches, exclusive.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The hashes, from left to right.
    pub fn hashes(&self) -> Vec<Hash> {
        self.nodes.iter().map(|(_, hash)| *hash).collect()
    }

    /// Adds a leaf; `made` is told it and each node that it completes, upwards.
    pub fn push(&mut self, leaf: Hash, made: impl FnMut(&Hash)) {
        self.push_node(0, leaf, made);
    }

    /// Adds a whole subtree. It has to begin where a subtree of its level may: it is the caller's
    /// to see to that, with [`levels`].
    fn push_node(&mut self, mut level: u32, mut hash: Hash, mut made: impl FnMut(&Hash)) {
        self.end += 1 << level;
        made(&hash);
        while let Some((left_level, left)) = self.nodes.last().copied() {
            let over = 1_u64 << (level + 1);
            let is_pair = left_level == level && self.end.is_multiple_of(over);
            if !is_pair || self.end - over < self.begin {
                break;
            }
            self.nodes.pop();
            hash = of_node(&left, &hash);
            level += 1;
            made(&hash);
        }
        self.nodes.push((level, hash));
    }

    /// Adds the subtrees that cover the leaves up to `end`; false if there are not as many hashes
    /// as that takes.
    #[must_use]
    pub fn extend(&mut self, end: u64, hashes: &[Hash]) -> bool {
        let levels = levels(self.end, end);
        if end < self.end || levels.len() != hashes.len() {
            return false;
        }
        for (level, hash) in levels.into_iter().zip(hashes) {
            self.push_node(level, *hash, |_| {});
        }
        true
    }

    /// The hash of the tree over exactly these leaves; of a run that begins with the first leaf it
    /// is the root.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev().map(|(_, hash)| *hash);
        match nodes.next() {
            None => of_nothing(),
            Some(last) => nodes.fold(last, |right, left| of_node(&left, &right)),
        }
    }
}

/// The levels of the fewest whole subtrees that cover the leaves from `begin` up to `end`.
pub fn levels(begin: u64, end: u64) -> Vec<u32> {
    let (mut at, mut levels) = (begin, Vec::new());
    while at < end {
        let level = at.trailing_zeros().min((end - at).ilog2());
        levels.push(level);
        at += 1 << level;
    }
    levels
}
