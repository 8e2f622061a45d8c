//! The reservation watch, step by step. Its timeout can come at any moment.

use super::store::{ORDER, SKUS, Store};
use domain::{
    Decider,
    order::{self, Order},
    reservation::{Owed, Reservation, order_of},
    stock,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    reservation: Reservation,
}

impl Watch {
    pub(crate) fn is_at_rest(&self, store: &Store) -> bool {
        store.is_read() && self.reservation.is_settled()
    }

    /// Every next step: what the watch is then, and the store.
    pub(crate) fn steps(&self, store: &Store) -> Vec<(Self, Store)> {
        let mut steps = Vec::new();
        if !store.is_read() {
            steps.push(self.read_on(store));
        }
        if self.reservation.is_orphan() {
            steps.push(self.abandon(store));
        }
        for owed in self.reservation.owed() {
            steps.push(self.carry_out(&owed, store));
        }
        steps
    }

    fn read_on(&self, store: &Store) -> (Self, Store) {
        let (mut next, mut store) = (self.clone(), store.clone());
        let fact = store.read().unwrap();
        if order_of(fact.stream_id, &fact.event) == Some(ORDER) {
            next.reservation.evolve(fact.stream_id, &fact.event);
        }
        (next.forgetting(), store)
    }

    /// The timeout: rules out that the order is ever placed, or learns what became of it.
    fn abandon(&self, store: &Store) -> (Self, Store) {
        let (mut next, mut store) = (self.clone(), store.clone());
        let decided = Order::decide(&order::State::default(), order::Command::Abandon);
        let _either_way_it_has_an_outcome = store.append_order(0, decided.unwrap().remove(0), None);
        for id in store.order() {
            next.reservation.evolve(ORDER, &id.fact().event);
        }
        (next.forgetting(), store)
    }

    fn carry_out(&self, owed: &Owed, store: &Store) -> (Self, Store) {
        let (mut next, mut store) = (self.clone(), store.clone());
        let order_id = ORDER.to_owned();
        let (sku, command) = match owed {
            Owed::Release { sku, .. } => (sku, stock::Command::Release { order_id }),
            Owed::Dispatch { sku, hold } => {
                (sku, stock::Command::Dispatch { order_id, hold: *hold })
            }
        };
        let sku = SKUS.iter().find(|known| *known == sku).unwrap();
        store.give_stock(sku, command);
        next.reservation.done(owed);
        (next.forgetting(), store)
    }

    fn forgetting(mut self) -> Self {
        if self.reservation.is_settled() {
            self.reservation = Reservation::default();
        }
        self
    }
}
