//! Inclusion and consistency proofs: making them from a tree's nodes (RFC 6962, sections 2.1.1 and
//! 2.1.2) and checking them (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use crate::{
    cover::{Cover, levels},
    hash::{Hash, of_node},
};

/// The largest power of two below `n`, which is 2 or more.
const fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The root of the tree over the leaves from `begin` up to `end`. `node` gives the whole subtree of
/// a level by its number among those of that level.
///
/// # Errors
/// Those of `node`.
pub fn root<E>(
    begin: u64,
    end: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Hash, E> {
    let (mut at, mut hashes) = (begin, Vec::new());
    for level in levels(begin, end) {
        hashes.push(node(level, at >> level)?);
        at += 1 << level;
    }
    let mut cover = Cover::from(begin);
    // As many as `levels` said.
    let _ = cover.extend(end, &hashes);
    Ok(cover.root())
}

/// The path from leaf `index` to the root of the tree over the first `size` leaves.
///
/// # Errors
/// Those of `node`.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut begin, mut end, mut path) = (0, size, Vec::new());
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(root(middle, end, node)?);
            end = middle;
        } else {
            path.push(root(begin, middle, node)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// What shows that the tree over the first `new` leaves begins with the tree over the first `old`.
///
/// # Errors
/// Those of `node`.
pub fn consistency<E>(
    old: u64,
    new: u64,
    node: &mut impl FnMut(u32, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut begin, mut end, mut path) = (0, new, Vec::new());
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            path.push(root(middle, end, node)?);
            end = middle;
        } else {
            path.push(root(begin, middle, node)?);
            begin = middle;
        }
    }
    if begin > 0 {
        // The old tree is not known by its root alone then.
        path.push(root(begin, end, node)?);
    }
    path.reverse();
    Ok(path)
}

/// The root that this path leads to from a leaf; `None` if it cannot be a path in such a tree.
pub fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = of_node(sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = of_node(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Whether the path shows that the tree of the one size and root begins with the other.
pub fn is_consistent(old: (u64, Hash), new: (u64, Hash), path: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return old_root == new_root && path.is_empty();
    }
    if old_size == 0 {
        return path.is_empty() && old_root == crate::hash::of_nothing();
    }
    let mut path = path.iter();
    let first = if old_size.is_power_of_two() { Some(&old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut place, mut last) = (old_size - 1, new_size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            before = of_node(sibling, &before);
            after = of_node(sibling, &after);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            after = of_node(&after, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && before == old_root && after == new_root
}
