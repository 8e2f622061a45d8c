//! Every interleaving of what can happen around one order: two handlers with one idempotency key
//! that may each die at any step, the reservation watch, a delivery of goods, a cancellation or a
//! dispatch. Whatever the interleaving, once all have come to rest stock and order agree.

mod check;
mod handler;
mod store;
mod watch;
mod world;

use handler::Request;
use world::{Lifecycle, Scenario, explore};

fn request(hash: u8, lines: &[(&'static str, i64)]) -> Request {
    Request { hash, lines: lines.to_vec() }
}

/// One hundred of everything, two handlers of the same request, nothing else.
fn quiet() -> Scenario {
    let same = request(1, &[("a", 2), ("b", 1)]);
    Scenario {
        on_hand: vec![("a", 100), ("b", 100), ("c", 100)],
        requests: [same.clone(), same],
        goods: None,
        lifecycle: None,
        watch_restarts: false,
        release_before_outcome: false,
    }
}

#[test]
fn two_handlers_with_one_body() {
    let found = explore(&quiet()).unwrap();
    found.saw(["placed placed", "- placed", "- -", "abandoned abandoned"]);
    found.never_saw(["refused", "reused"]);
}

#[test]
fn two_handlers_while_goods_come_in() {
    let found = explore(&Scenario {
        on_hand: vec![("a", 100), ("b", 0), ("c", 0)],
        goods: Some(("b", 1)),
        ..quiet()
    })
    .unwrap();
    found.saw(["placed placed", "refused refused", "abandoned abandoned", "- refused"]);
    found.never_saw(["placed refused", "refused placed", "reused"]);
}

#[test]
fn two_bodies_that_share_their_skus() {
    let found = explore(&Scenario {
        requests: [request(1, &[("a", 2), ("b", 1)]), request(2, &[("b", 1), ("a", 2)])],
        ..quiet()
    })
    .unwrap();
    found.saw(["placed reused", "reused placed", "reused reused", "placed -"]);
    found.never_saw(["refused", "placed placed"]);
}

#[test]
fn two_bodies_of_which_one_is_short() {
    let found = explore(&Scenario {
        on_hand: vec![("a", 100), ("b", 100), ("c", 4)],
        requests: [request(1, &[("a", 2), ("b", 1)]), request(2, &[("b", 1), ("c", 5)])],
        ..quiet()
    })
    .unwrap();
    found.saw(["placed reused", "reused refused", "placed -", "- refused"]);
    found.never_saw(["placed refused", "placed placed"]);
}

#[test]
fn two_bodies_that_share_no_sku_of_which_one_is_short() {
    let found = explore(&Scenario {
        on_hand: vec![("a", 100), ("b", 100), ("c", 4)],
        requests: [request(1, &[("a", 2), ("b", 1)]), request(2, &[("c", 5)])],
        ..quiet()
    })
    .unwrap();
    found.saw(["placed reused", "reused refused"]);
    found.never_saw(["placed refused", "placed placed", "reused reused"]);
}

#[test]
fn a_cancellation_and_a_late_handler() {
    let found = explore(&Scenario { lifecycle: Some(Lifecycle::Cancel), ..quiet() }).unwrap();
    found.saw(["placed placed", "- placed", "- -"]);
}

#[test]
fn a_dispatch_and_a_late_handler() {
    let found = explore(&Scenario { lifecycle: Some(Lifecycle::Dispatch), ..quiet() }).unwrap();
    found.saw(["placed placed", "- placed", "- -"]);
}

#[test]
fn a_dispatch_and_a_late_handler_with_another_body() {
    let found = explore(&Scenario {
        requests: [request(1, &[("a", 2), ("b", 1)]), request(2, &[("b", 1), ("c", 1)])],
        lifecycle: Some(Lifecycle::Dispatch),
        ..quiet()
    })
    .unwrap();
    found.saw(["placed reused", "reused placed"]);
}

#[test]
fn a_watch_that_starts_again_from_the_log() {
    let one_line = request(1, &[("a", 2)]);
    for lifecycle in [Lifecycle::Cancel, Lifecycle::Dispatch] {
        let found = explore(&Scenario {
            requests: [one_line.clone(), one_line.clone()],
            lifecycle: Some(lifecycle),
            watch_restarts: true,
            ..quiet()
        })
        .unwrap();
        found.saw(["placed placed", "abandoned abandoned"]);
    }
}

/// The model can tell right from wrong: a handler that gives its holds back before the refusal
/// stands takes them from under the other handler's order.
#[test]
fn releasing_before_the_outcome_is_found_out() {
    let broken = Scenario {
        on_hand: vec![("a", 100), ("b", 0), ("c", 0)],
        goods: Some(("b", 1)),
        release_before_outcome: true,
        ..quiet()
    };
    assert!(explore(&broken).is_err());
}
