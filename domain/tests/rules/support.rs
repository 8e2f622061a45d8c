//! Given these events, when this command, then these events or this rejection.

use std::fmt::Debug;

use domain::Decider;
use event_schemas::{Currency, Money, OrderBody, OrderLine, RequestHash, Timestamp, Variant};
use uuid::Uuid;

pub(crate) struct Given<D: Decider> {
    state: D::State,
}

pub(crate) struct Then<D: Decider> {
    decided: Result<Vec<D::Event>, D::Rejection>,
}

/// An aggregate with these events behind it.
pub(crate) fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    Given { state: fold::<D>(&events.into_iter().collect::<Vec<_>>()) }
}

/// An aggregate without any event.
pub(crate) fn given_nothing<D: Decider>() -> Given<D> {
    given([])
}

pub(crate) fn fold<D: Decider>(events: &[D::Event]) -> D::State {
    events.iter().fold(D::State::default(), D::evolve)
}

impl<D: Decider> Given<D> {
    pub(crate) fn when(self, command: D::Command) -> Then<D> {
        Then { decided: D::decide(&self.state, command) }
    }
}

impl<D: Decider<Event: Debug + PartialEq, Rejection: Debug + PartialEq>> Then<D> {
    #[track_caller]
    pub(crate) fn then<E: Into<D::Event>>(self, events: impl IntoIterator<Item = E>) {
        assert_eq!(self.decided, Ok(events.into_iter().map(Into::into).collect()));
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.decided, Ok(vec![]));
    }

    #[track_caller]
    pub(crate) fn then_refused(self, rejection: D::Rejection) {
        assert_eq!(self.decided, Err(rejection));
    }
}

/// A command id, by its number.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A request hash, by its number.
pub(crate) fn hash(number: u8) -> Option<RequestHash> {
    Some(RequestHash([number; 16]))
}

pub(crate) fn usd(amount: i64) -> Money {
    Currency::USD.money(amount)
}

pub(crate) fn variant(sku: &str, amount: i64) -> Variant {
    Variant { sku: sku.into(), title: String::new(), price: usd(amount) }
}

pub(crate) fn line(sku: &str, quantity: i64, unit_price: i64) -> OrderLine {
    OrderLine {
        sku: sku.into(),
        product_id: format!("product of {sku}"),
        title: sku.into(),
        variant: String::new(),
        brand: String::new(),
        department: "HOME".into(),
        category: String::new(),
        quantity,
        unit_price,
        discount: 0,
        total: quantity.saturating_mul(unit_price),
    }
}

/// An order of these lines, its total their sum.
pub(crate) fn order(lines: impl IntoIterator<Item = OrderLine>) -> OrderBody {
    let lines: Vec<_> = lines.into_iter().collect();
    OrderBody {
        customer_id: "ada".into(),
        placed_at: Timestamp::saturating(0),
        channel: "web".into(),
        currency: Currency::USD,
        total: lines.iter().fold(0, |sum, line| sum + line.total),
        lines,
    }
}
