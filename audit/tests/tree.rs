//! The tree against its definition, word for word, and against known values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

use std::convert::Infallible;

use audit::{
    Hash,
    cover::{Cover, levels},
    hash::{of_event, of_leaf, of_node, of_nothing},
    proof,
};
use event_schemas::{Recorded, Revision, StreamName};
use proptest::prelude::*;
use uuid::Uuid;

/// RFC 6962, section 2.1: MTH.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => of_nothing(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            of_node(&mth(left), &mth(right))
        }
    }
}

/// The largest power of two smaller than n.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// RFC 6962, section 2.1.1: PATH(m, D[n]).
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) =
        if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
    path.push(other);
    path
}

/// RFC 6962, section 2.1.2: SUBPROOF(m, D[n], b).
fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) = if m <= k {
        (subproof(m, left, whole), mth(right))
    } else {
        (subproof(m - k, right, false), mth(left))
    };
    path.push(other);
    path
}

fn some_leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| of_leaf(&n.to_be_bytes())).collect()
}

/// The nodes of a tree, by the definition.
fn nodes(leaves: &[Hash]) -> impl FnMut(u32, u64) -> Result<Hash, Infallible> {
    move |level, index| {
        let begin = usize::try_from(index << level).unwrap();
        Ok(mth(&leaves[begin..begin + (1 << level)]))
    }
}

fn changed(hash: &Hash) -> Hash {
    let mut hash = *hash;
    hash.0[7] ^= 1;
    hash
}

#[test]
fn roots_are_those_of_the_test_vectors_of_certificate_transparency() {
    // From the tests of the original implementation, which all others use too.
    let inputs: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut cover = Cover::from(0);
    assert_eq!(cover.root().to_string(), roots[0]);
    for (input, root) in inputs.iter().zip(&roots[1..]) {
        cover.push(of_leaf(input), |_| {});
        assert_eq!(cover.root().to_string(), *root);
        assert_eq!(root.parse::<Hash>().unwrap(), cover.root());
    }
}

#[test]
fn a_leaf_is_six_fields_each_behind_its_length() {
    let stream = StreamName::parse("order-1").unwrap();
    let (data, metadata) = (b"{}".to_vec(), b"\xff\x00".to_vec());
    let id = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let event = Recorded::new(
        id,
        stream,
        Revision(258),
        "OrderDelivered".into(),
        data.into(),
        metadata.into(),
    );
    let by_hand = [
        &b"\x00\x00\x00\x07order-1"[..],
        b"\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x01\x02",
        b"\x00\x00\x00\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
        b"\x00\x00\x00\x0eOrderDelivered",
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x02\xff\x00",
    ]
    .concat();
    assert_eq!(of_event(&event), of_leaf(&by_hand));
}

#[test]
fn every_small_tree_is_as_defined_and_every_proof_in_it_holds() {
    let leaves = some_leaves(70);
    for size in 0..=leaves.len() {
        let tree = &leaves[..size];
        let (root, wide) = (mth(tree), size as u64);
        for index in 0..size {
            let made = proof::inclusion(index as u64, wide, &mut nodes(tree)).unwrap();
            assert_eq!(made, path(index, tree), "{index} of {size}");
            let led = proof::root_of_path(tree[index], index as u64, wide, &made);
            assert_eq!(led, Some(root));
        }
        for old in 0..=size {
            let made = proof::consistency(old as u64, wide, &mut nodes(tree)).unwrap();
            let defined = if old == 0 { Vec::new() } else { subproof(old, tree, true) };
            assert_eq!(made, defined, "{old} of {size}");
            let before = (old as u64, mth(&tree[..old]));
            assert!(proof::is_consistent(before, (wide, root), &made), "{old} of {size}");
        }
    }
}

proptest! {
    #[test]
    fn a_cover_of_any_run_joins_with_what_stands_around_it(
        size in 0_usize..200, cuts in (0.0..=1.0, 0.0..=1.0_f64)
    ) {
        let leaves = some_leaves(size);
        let cut = |at: f64| (at * size as f64) as usize;
        let (begin, end) = (cut(cuts.0).min(cut(cuts.1)), cut(cuts.0).max(cut(cuts.1)));
        let cover_of = |begin: usize, end: usize| {
            let mut cover = Cover::from(begin as u64);
            leaves[begin..end].iter().for_each(|leaf| cover.push(*leaf, |_| {}));
            cover
        };
        let (before, behind) = (cover_of(0, begin).hashes(), cover_of(end, size).hashes());
        prop_assert_eq!(before.len(), levels(0, begin as u64).len());
        prop_assert_eq!(behind.len(), levels(end as u64, size as u64).len());
        let mut whole = Cover::from(0);
        prop_assert!(whole.extend(begin as u64, &before));
        leaves[begin..end].iter().for_each(|leaf| whole.push(*leaf, |_| {}));
        prop_assert!(whole.extend(size as u64, &behind));
        prop_assert_eq!(whole.root(), mth(&leaves));
        prop_assert!(!whole.extend(size as u64 + 1, &[]));
    }

    #[test]
    fn no_proof_holds_for_anything_else(
        size in 2_u64..300, at in 0.0..1.0_f64, broken in any::<prop::sample::Index>()
    ) {
        let leaves = some_leaves(size as usize);
        let index = (at * size as f64) as u64;
        let (root, leaf) = (mth(&leaves), leaves[index as usize]);
        let path = proof::inclusion(index, size, &mut nodes(&leaves)).unwrap();
        let holds = |leaf, index, size, path: &[Hash]| {
            proof::root_of_path(leaf, index, size, path) == Some(root)
        };
        prop_assert!(holds(leaf, index, size, &path));
        prop_assert!(!holds(changed(&leaf), index, size, &path));
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(!holds(leaf, other, size, &path), "{} is not {}", other, index);
        }
        prop_assert!(!holds(leaf, size, size, &path));
        prop_assert!(!holds(leaf, index, size, &path[1..]));
        let longer = [&path[..], &[root]].concat();
        prop_assert!(!holds(leaf, index, size, &longer));
        let mut other = path.clone();
        let place = broken.index(other.len());
        other[place] = changed(&other[place]);
        prop_assert!(!holds(leaf, index, size, &other));
    }

    #[test]
    fn no_other_tree_is_consistent(
        size in 2_u64..300, at in 0.0..1.0_f64, broken in any::<prop::sample::Index>()
    ) {
        let leaves = some_leaves(size as usize);
        let old = 1 + (at * (size - 1) as f64) as u64;
        let before = mth(&leaves[..old as usize]);
        let (root, path) =
            (mth(&leaves), proof::consistency(old, size, &mut nodes(&leaves)).unwrap());
        prop_assert!(proof::is_consistent((old, before), (size, root), &path));
        prop_assert!(!proof::is_consistent((old, changed(&before)), (size, root), &path));
        prop_assert!(!proof::is_consistent((old, before), (size, changed(&root)), &path));
        prop_assert!(!proof::is_consistent((size, root), (old, before), &path));
        prop_assert!(!proof::is_consistent((old + size, before), (size, root), &path));
        let longer = [&path[..], &[root]].concat();
        prop_assert!(!proof::is_consistent((old, before), (size, root), &longer));
        let mut other = path.clone();
        let place = broken.index(other.len());
        other[place] = changed(&other[place]);
        prop_assert!(!proof::is_consistent((old, before), (size, root), &other));
    }
}
