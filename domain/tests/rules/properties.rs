//! What holds for any sequence of commands.

use std::{collections::BTreeMap, fmt::Debug};

use domain::{
    Decider,
    email::{self, EmailClaim},
    order::{self, Order, Rejection, line_total, price_lines},
    product::{self, AttributesPatch, Product},
    stock::{self, StockItem},
    user::{self, User},
};
use event_schemas::{MAX_AMOUNT, OrderLine, ShortLine, StockEvent};
use proptest::{collection::vec, option, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

use crate::support::{fold, hash, id, line, order, usd, variant};

/// Gives the commands one after the other and returns all events. At each step: deciding the
/// command again on what it left has no second effect if it is `once`; the events folded from
/// scratch make the same state; and the state survives being written and read.
fn run<D>(commands: Vec<D::Command>, once: impl Fn(&D::Command) -> bool) -> Vec<D::Event>
where
    D: Decider<Command: Clone + Debug, Event: Clone + Debug>,
    D::State: Debug + PartialEq + Serialize + DeserializeOwned,
{
    let mut state = D::State::default();
    let mut events = Vec::new();
    for command in commands {
        let Ok(decided) = D::decide(&state, command.clone()) else { continue };
        state = decided.iter().fold(state, D::evolve);
        events.extend(decided);
        assert_eq!(state, fold::<D>(&events), "after {command:?}");
        let written = serde_json::to_vec(&state).unwrap();
        assert_eq!(state, serde_json::from_slice::<D::State>(&written).unwrap());
        if once(&command) {
            let again = D::decide(&state, command.clone()).unwrap_or_default();
            assert!(again.is_empty(), "{command:?} a second time: {again:?}");
        }
    }
    events
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -3..20i64,
        1 => MAX_AMOUNT - 20..MAX_AMOUNT + 20,
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-MAX_AMOUNT)],
    ]
}

fn claim() -> impl Strategy<Value = uuid::Uuid> {
    (0..3u128).prop_map(id)
}

fn name() -> impl Strategy<Value = String> {
    "[abc]"
}

fn stock_command() -> impl Strategy<Value = stock::Command> {
    use stock::Command::*;
    prop_oneof![
        2 => (name(), claim())
            .prop_map(|(product_id, claim)| Introduce { sku: "s".into(), product_id, claim }),
        1 => (claim(), name(), claim()).prop_map(|(abandoned, product_id, claim)| TakeOver {
            abandoned,
            sku: "s".into(),
            product_id,
            claim
        }),
        1 => claim().prop_map(|claim| ReleaseSku { claim }),
        4 => (amount(), option::of(name()))
            .prop_map(|(quantity, batch)| Receive { quantity, batch }),
        3 => amount().prop_map(|delta| Adjust { delta, reason: String::new() }),
        8 => (name(), amount(), 0..2u8).prop_map(|(order_id, quantity, request)| Reserve {
            order_id,
            quantity,
            request_hash: hash(request)
        }),
        3 => name().prop_map(|order_id| Release { order_id }),
        3 => (name(), 0..9u64).prop_map(|(order_id, hold)| Dispatch { order_id, hold }),
    ]
}

/// Whether giving the command twice is giving it once.
fn is_once(command: &stock::Command) -> bool {
    match command {
        stock::Command::Receive { batch, .. } => batch.is_some(),
        stock::Command::Adjust { .. } => false,
        stock::Command::Introduce { .. }
        | stock::Command::TakeOver { .. }
        | stock::Command::ReleaseSku { .. }
        | stock::Command::Reserve { .. }
        | stock::Command::Release { .. }
        | stock::Command::Dispatch { .. } => true,
    }
}

fn product_command() -> impl Strategy<Value = product::Command> {
    use product::Command::*;
    let patch = prop_oneof![
        Just(AttributesPatch::Clear),
        vec((name(), option::of(name())), 0..3)
            .prop_map(|pairs| AttributesPatch::Merge(pairs.into_iter().collect())),
    ];
    let change = (
        option::of(name()),
        option::of(name()),
        option::of(name()),
        option::of(name()),
        option::of(patch),
        option::of(any::<bool>()),
    )
        .prop_map(|(title, brand, department, category, attributes, on_shelf)| {
            product::Change { title, brand, department, category, attributes, on_shelf }
        });
    prop_oneof![
        3 => (claim(), vec((name(), amount()), 0..3), any::<bool>()).prop_map(
            |(command_id, variants, on_shelf)| Create {
                command_id,
                product_id: "p".into(),
                title: "a".into(),
                brand: String::new(),
                department: "b".into(),
                category: String::new(),
                attributes: BTreeMap::new(),
                on_shelf,
                variants: variants.iter().map(|(sku, amount)| variant(sku, *amount)).collect(),
            }
        ),
        3 => change.prop_map(Change),
        2 => (claim(), name(), amount()).prop_map(|(command_id, sku, amount)| AddVariant {
            command_id,
            variant: variant(&sku, amount)
        }),
        2 => (name(), amount()).prop_map(|(sku, amount)| Price { sku, price: usd(amount) }),
        1 => (claim(), name()).prop_map(|(command_id, sku)| AbandonClaim { command_id, sku }),
    ]
}

fn user_command() -> impl Strategy<Value = user::Command> {
    use user::Command::*;
    prop_oneof![
        (claim(), option::of(claim())).prop_map(|(command_id, claim)| Register {
            command_id,
            user_id: "u".into(),
            personal: None,
            claim
        }),
        claim().prop_map(|command_id| AbandonClaim { command_id }),
    ]
}

fn email_command() -> impl Strategy<Value = email::Command> {
    use email::Command::*;
    prop_oneof![
        (name(), claim()).prop_map(|(user_id, claim)| Claim { user_id, claim }),
        (claim(), name(), claim()).prop_map(|(abandoned, user_id, claim)| TakeOver {
            abandoned,
            user_id,
            claim
        }),
        claim().prop_map(|claim| Release { claim }),
    ]
}

fn order_command() -> impl Strategy<Value = order::Command> {
    use order::Command::*;
    let body = (1..5i64, 0..9i64).prop_map(|(quantity, price)| order([line("s", quantity, price)]));
    let order_id = || "o".to_owned();
    prop_oneof![
        3 => body.clone().prop_map(move |order| Place {
            order_id: order_id(),
            order,
            holds: vec![1]
        }),
        1 => body.prop_map(move |order| {
            let short = vec![ShortLine { sku: "s".into(), requested: 1, available: 0 }];
            Refuse { order_id: order_id(), order, short }
        }),
        1 => Just(Abandon),
        1 => Just(Cancel { reason: String::new() }),
        2 => Just(Dispatch { carrier: None, tracking: None }),
        2 => Just(Deliver),
    ]
}

fn order_line() -> impl Strategy<Value = OrderLine> {
    let quantity = prop_oneof![1..9i64, order::MAX_QUANTITY - 2..=order::MAX_QUANTITY];
    let price = prop_oneof![0..99_999i64, MAX_AMOUNT - 9..MAX_AMOUNT + 9, any::<i64>()];
    (quantity, price, amount()).prop_map(|(quantity, unit_price, discount)| OrderLine {
        discount,
        ..line("s", quantity, unit_price)
    })
}

/// What the numbers of the contract can say.
fn within(amount: i128) -> bool {
    amount.abs() <= i128::from(MAX_AMOUNT)
}

proptest! {
    #[test]
    fn stock_agrees_with_itself(commands in vec(stock_command(), 0..60)) {
        run::<StockItem>(commands, is_once);
    }

    #[test]
    fn units_are_conserved(commands in vec(stock_command(), 0..120)) {
        let mut state = stock::State::default();
        let (mut came, mut left) = (0i128, 0i128);
        for command in commands {
            let Ok(decided) = StockItem::decide(&state, command) else { continue };
            for event in decided {
                match &event {
                    StockEvent::Received(event) => came += i128::from(event.quantity),
                    StockEvent::Adjusted(event) => came += i128::from(event.delta),
                    StockEvent::Dispatched(event) => left += i128::from(event.quantity),
                    StockEvent::Introduced(_)
                    | StockEvent::SkuReleased(_)
                    | StockEvent::Reserved(_)
                    | StockEvent::Released(_) => {}
                }
                state = StockItem::evolve(state, &event);
                prop_assert_eq!(i128::from(state.on_hand()), came - left);
                prop_assert!(state.on_hand() >= state.reserved() && state.reserved() >= 0);
                prop_assert!(state.on_hand() <= MAX_AMOUNT);
                let held: i64 = state.holds().values().map(|hold| hold.quantity).sum();
                prop_assert_eq!(state.reserved(), held);
            }
        }
    }

    #[test]
    fn products_agree_with_themselves(commands in vec(product_command(), 0..30)) {
        run::<Product>(commands, |_| true);
    }

    #[test]
    fn users_agree_with_themselves(commands in vec(user_command(), 0..12)) {
        run::<User>(commands, |_| true);
    }

    #[test]
    fn emails_agree_with_themselves(commands in vec(email_command(), 0..20)) {
        run::<EmailClaim>(commands, |_| true);
    }

    #[test]
    fn orders_agree_with_themselves(commands in vec(order_command(), 0..12)) {
        run::<Order>(commands, |_| true);
    }

    #[test]
    fn totals_are_exact(mut lines in vec(order_line(), 0..20)) {
        let exact = |line: &OrderLine| {
            i128::from(line.quantity) * i128::from(line.unit_price) - i128::from(line.discount)
        };
        let sum: i128 = lines.iter().map(exact).sum();
        let fits = within(sum)
            && lines.iter().all(|line| {
                within(line.unit_price.into()) && within(line.discount.into()) && within(exact(line))
            });
        match price_lines(&mut lines) {
            Ok(total) => {
                prop_assert!(fits);
                prop_assert_eq!(i128::from(total), sum);
                for line in &lines {
                    prop_assert_eq!(i128::from(line.total), exact(line));
                }
            }
            Err(rejection) => {
                prop_assert!(!fits);
                prop_assert_eq!(rejection, Rejection::Overflow);
            }
        }
    }

    #[test]
    fn a_line_total_is_exact(quantity: i64, unit_price in amount(), discount in amount()) {
        let exact = i128::from(quantity) * i128::from(unit_price) - i128::from(discount);
        let fits = within(exact) && within(unit_price.into()) && within(discount.into());
        let total = line_total(quantity, unit_price, discount).map(i128::from);
        prop_assert_eq!(total, fits.then_some(exact));
    }

    #[test]
    fn what_is_priced_is_accepted(mut lines in vec(order_line(), 1..20)) {
        for (n, line) in lines.iter_mut().enumerate() {
            line.sku = n.to_string();
        }
        let Ok(total) = price_lines(&mut lines) else { return Ok(()) };
        let holds = vec![1; lines.len()];
        let order = event_schemas::OrderBody { total, lines, ..order([]) };
        let place = order::Command::Place { order_id: "o".into(), order, holds };
        prop_assert!(Order::decide(&order::State::default(), place).is_ok());
    }
}
