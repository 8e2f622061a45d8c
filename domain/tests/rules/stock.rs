use crate::support::{Given, fold, given, given_nothing, hash, id};
use domain::{
    Decider,
    stock::{Command, Rejection, StockItem},
};
use event_schemas::{
    MAX_AMOUNT, SkuReleased, StockAdjusted, StockDispatched, StockEvent, StockIntroduced,
    StockReceived, StockReleased, StockReserved,
};

fn introduced() -> StockEvent {
    StockIntroduced { sku: "mug-red".into(), product_id: "mug".into(), claim: id(1) }.into()
}

fn received(quantity: i64, batch: Option<&str>) -> StockEvent {
    StockReceived { quantity, batch: batch.map(Into::into), on_hand: quantity, reserved: 0 }.into()
}

/// The first hold: 2 of 5 units for order o1.
fn reserved() -> StockReserved {
    StockReserved {
        order_id: "o1".into(),
        quantity: 2,
        hold: 1,
        request_hash: hash(1),
        on_hand: 5,
        reserved: 2,
    }
}

fn five_on_hand() -> Given<StockItem> {
    given([introduced(), received(5, None)])
}

fn two_of_five_held() -> Given<StockItem> {
    given([introduced(), received(5, None), reserved().into()])
}

fn introduce(product: &str, claim: u128) -> Command {
    Command::Introduce { sku: "mug-red".into(), product_id: product.into(), claim: id(claim) }
}

fn take_over(abandoned: u128, product: &str, claim: u128) -> Command {
    Command::TakeOver {
        abandoned: id(abandoned),
        sku: "mug-red".into(),
        product_id: product.into(),
        claim: id(claim),
    }
}

fn receive(quantity: i64, batch: Option<&str>) -> Command {
    Command::Receive { quantity, batch: batch.map(Into::into) }
}

fn adjust(delta: i64) -> Command {
    Command::Adjust { delta, reason: "breakage".into() }
}

fn reserve(order: &str, quantity: i64, request: u8) -> Command {
    Command::Reserve { order_id: order.into(), quantity, request_hash: hash(request) }
}

fn release(order: &str) -> Command {
    Command::Release { order_id: order.into() }
}

fn dispatch(order: &str, hold: u64) -> Command {
    Command::Dispatch { order_id: order.into(), hold }
}

#[test]
fn a_product_claims_a_free_sku() {
    given_nothing::<StockItem>().when(introduce("mug", 1)).then([introduced()]);
}

#[test]
fn a_claim_met_again_by_its_owner_stands() {
    given::<StockItem>([introduced()]).when(introduce("mug", 1)).then_nothing();
}

#[test]
fn a_claimed_sku_is_refused_to_another_product() {
    given::<StockItem>([introduced()])
        .when(introduce("cup", 2))
        .then_refused(Rejection::SkuTaken { product_id: "mug".into(), claim: id(1) });
}

#[test]
fn a_claimed_sku_is_refused_to_another_command_of_its_product() {
    given::<StockItem>([introduced()])
        .when(introduce("mug", 2))
        .then_refused(Rejection::SkuTaken { product_id: "mug".into(), claim: id(1) });
}

#[test]
fn an_abandoned_claim_is_taken_over() {
    given::<StockItem>([introduced()]).when(take_over(1, "cup", 2)).then([StockIntroduced {
        sku: "mug-red".into(),
        product_id: "cup".into(),
        claim: id(2),
    }]);
}

#[test]
fn only_the_claim_that_was_abandoned_is_taken_over() {
    given::<StockItem>([introduced()])
        .when(take_over(7, "cup", 2))
        .then_refused(Rejection::SkuTaken { product_id: "mug".into(), claim: id(1) });
}

#[test]
fn a_takeover_met_again_changes_nothing() {
    given::<StockItem>([introduced()]).when(take_over(7, "mug", 1)).then_nothing();
}

#[test]
fn a_claim_given_back_meanwhile_is_free() {
    given::<StockItem>([introduced(), SkuReleased { claim: id(1) }.into()])
        .when(take_over(1, "mug", 1))
        .then([introduced()]);
}

#[test]
fn a_released_sku_is_free() {
    given::<StockItem>([introduced()])
        .when(Command::ReleaseSku { claim: id(1) })
        .then([SkuReleased { claim: id(1) }]);
    given::<StockItem>([introduced(), SkuReleased { claim: id(1) }.into()])
        .when(introduce("cup", 2))
        .then([StockIntroduced { sku: "mug-red".into(), product_id: "cup".into(), claim: id(2) }]);
}

#[test]
fn nobody_releases_a_claim_of_another_command() {
    given::<StockItem>([introduced()]).when(Command::ReleaseSku { claim: id(2) }).then_nothing();
    given_nothing::<StockItem>().when(Command::ReleaseSku { claim: id(2) }).then_nothing();
}

#[test]
fn units_come_in() {
    two_of_five_held().when(receive(3, None)).then([StockReceived {
        quantity: 3,
        batch: None,
        on_hand: 8,
        reserved: 2,
    }]);
}

#[test]
fn a_sku_that_no_product_has_takes_no_units() {
    given_nothing::<StockItem>().when(receive(3, None)).then_refused(Rejection::NotIntroduced);
    given_nothing::<StockItem>().when(adjust(3)).then_refused(Rejection::NotIntroduced);
    given_nothing::<StockItem>().when(reserve("o1", 1, 1)).then_refused(Rejection::NotIntroduced);
}

#[test]
fn a_batch_is_received_once() {
    let opening = || given::<StockItem>([introduced(), received(5, Some("opening"))]);
    opening().when(receive(5, Some("opening"))).then_nothing();
    opening()
        .when(receive(6, Some("opening")))
        .then_refused(Rejection::BatchReused { batch: "opening".into(), received: 5 });
    opening().when(receive(5, Some("may"))).then([StockReceived {
        quantity: 5,
        batch: Some("may".into()),
        on_hand: 10,
        reserved: 0,
    }]);
}

#[test]
fn a_quantity_is_one_or_more() {
    for quantity in [0, -1, i64::MIN] {
        let refused = Rejection::Quantity { quantity };
        five_on_hand().when(receive(quantity, None)).then_refused(refused.clone());
        five_on_hand().when(reserve("o1", quantity, 1)).then_refused(refused);
    }
}

#[test]
fn no_more_units_than_the_contract_can_say() {
    let up_to = MAX_AMOUNT - 5;
    five_on_hand().when(receive(up_to, None)).then([StockReceived {
        quantity: up_to,
        batch: None,
        on_hand: MAX_AMOUNT,
        reserved: 0,
    }]);
    for beyond in [up_to + 1, i64::MAX] {
        let refused = Rejection::TooMany { on_hand: 5 };
        five_on_hand().when(receive(beyond, None)).then_refused(refused.clone());
        five_on_hand().when(adjust(beyond)).then_refused(refused);
    }
}

#[test]
fn on_hand_is_corrected_down_to_what_is_reserved() {
    two_of_five_held().when(adjust(-3)).then([StockAdjusted {
        delta: -3,
        reason: "breakage".into(),
        on_hand: 2,
        reserved: 2,
    }]);
    for delta in [-4, i64::MIN] {
        two_of_five_held().when(adjust(delta)).then_refused(Rejection::BelowZero { available: 3 });
    }
}

#[test]
fn a_correction_by_nothing_is_none() {
    five_on_hand().when(adjust(0)).then_nothing();
}

#[test]
fn an_order_gets_a_hold() {
    five_on_hand().when(reserve("o1", 2, 1)).then([reserved()]);
}

#[test]
fn the_last_unit_can_be_held_and_no_more() {
    two_of_five_held().when(reserve("o2", 3, 2)).then([StockReserved {
        order_id: "o2".into(),
        quantity: 3,
        hold: 2,
        request_hash: hash(2),
        on_hand: 5,
        reserved: 5,
    }]);
    for quantity in [4, i64::MAX] {
        two_of_five_held()
            .when(reserve("o2", quantity, 2))
            .then_refused(Rejection::Short { available: 3 });
    }
}

#[test]
fn a_hold_asked_for_again_is_granted_again() {
    two_of_five_held().when(reserve("o1", 2, 1)).then_nothing();
}

#[test]
fn another_request_with_the_same_key_gets_no_hold() {
    two_of_five_held().when(reserve("o1", 2, 9)).then_refused(Rejection::KeyReused);
    two_of_five_held().when(reserve("o1", 3, 1)).then_refused(Rejection::KeyReused);
}

#[test]
fn a_released_hold_is_available_again() {
    two_of_five_held().when(release("o1")).then([StockReleased {
        order_id: "o1".into(),
        quantity: 2,
        hold: 1,
        on_hand: 5,
        reserved: 0,
    }]);
}

#[test]
fn a_dispatched_hold_leaves_the_house() {
    two_of_five_held().when(dispatch("o1", 1)).then([StockDispatched {
        order_id: "o1".into(),
        quantity: 2,
        hold: 1,
        on_hand: 3,
        reserved: 0,
    }]);
}

#[test]
fn no_hold_is_ended_twice() {
    let ended = || {
        given::<StockItem>([
            introduced(),
            received(5, None),
            reserved().into(),
            StockReleased { order_id: "o1".into(), quantity: 2, hold: 1, on_hand: 5, reserved: 0 }
                .into(),
        ])
    };
    ended().when(release("o1")).then_nothing();
    ended().when(dispatch("o1", 1)).then_nothing();
    // A hold after it has a number of its own.
    ended().when(reserve("o1", 2, 1)).then([StockReserved { hold: 2, ..reserved() }]);
}

#[test]
fn a_later_hold_is_not_dispatched_for_an_earlier_one() {
    two_of_five_held().when(dispatch("o1", 2)).then_nothing();
    two_of_five_held().when(dispatch("o2", 1)).then_nothing();
}

#[test]
fn holds_end_without_an_owner_of_the_sku() {
    given::<StockItem>([
        introduced(),
        received(5, None),
        reserved().into(),
        SkuReleased { claim: id(1) }.into(),
    ])
    .when(release("o1"))
    .then([StockReleased {
        order_id: "o1".into(),
        quantity: 2,
        hold: 1,
        on_hand: 5,
        reserved: 0,
    }]);
}

#[test]
fn the_state_says_what_callers_ask() {
    let state = fold::<StockItem>(&[introduced(), received(5, Some("b")), reserved().into()]);
    assert_eq!((state.on_hand(), state.reserved(), state.available()), (5, 2, 3));
    assert_eq!(state.claim().unwrap().owner, "mug");
    assert_eq!(state.hold("o1").unwrap().number, 1);
    assert_eq!(state.hold("o2"), None);
    assert_eq!((state.holds().len(), state.entries()), (1, 2));
    assert_eq!(StockItem::CATEGORY, "stock");
}
