//! The store: one append-only log, streams by name, expected revisions.

use std::{
    cell::RefCell,
    hash::{Hash, Hasher},
    rc::Rc,
};

use domain::{Decider, order::Order, stock, stock::StockItem};
use event_schemas::{Event, OrderEvent, StockEvent};

/// Skus by their place.
pub(crate) const SKUS: [&str; 3] = ["a", "b", "c"];
pub(crate) const ORDER: &str = "o1";

/// An event in its stream, with the request that it came of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub(crate) stream_id: &'static str,
    pub(crate) event: Event,
    pub(crate) request: Option<u8>,
}

impl Fact {
    pub(crate) fn order_event(&self) -> OrderEvent {
        match &self.event {
            Event::Order(event) => event.clone(),
            other => panic!("{other:?} is no event of an order"),
        }
    }
}

/// A fact's number: equal facts have one number, so that logs are cheap to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FactId(u16);

thread_local! {
    static FACTS: RefCell<Vec<Rc<Fact>>> = const { RefCell::new(Vec::new()) };
}

impl FactId {
    fn of(fact: Fact) -> Self {
        FACTS.with_borrow_mut(|facts| {
            let known = facts.iter().position(|known| **known == fact);
            let number = known.unwrap_or_else(|| {
                facts.push(Rc::new(fact));
                facts.len() - 1
            });
            Self(number.try_into().unwrap())
        })
    }

    pub(crate) fn fact(self) -> Rc<Fact> {
        FACTS.with_borrow(|facts| facts[usize::from(self.0)].clone())
    }
}

/// Another event came first.
#[derive(Debug)]
pub(crate) struct Conflict;

/// The log, how much of it the watch has read, and the states that it folds to. Two stores are
/// the same if everything goes on the same way from here: the sequence of what was read does not
/// matter, unless it is to be read again.
#[derive(Clone)]
pub(crate) struct Store {
    log: Vec<FactId>,
    read: usize,
    /// Where a watch without a memory begins to read, if it may lose it.
    reread: Option<usize>,
    stock: [Rc<stock::State>; 3],
    revisions: [usize; 3],
    order: Vec<FactId>,
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Store {}

impl Hash for Store {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            log: Vec::new(),
            read: 0,
            reread: None,
            stock: Default::default(),
            revisions: [0; 3],
            order: Vec::new(),
        }
    }

    fn identity(&self) -> impl Hash + PartialEq {
        let numbers = |stock: &Rc<stock::State>| {
            let hold =
                stock.hold(ORDER).map(|hold| (hold.number, hold.quantity, hold.request_hash));
            (stock.on_hand(), stock.reserved(), stock.available(), hold)
        };
        let first = self.reread.unwrap_or(self.read);
        let unread = self.log.len() - self.read;
        (
            &self.log[first..],
            unread,
            &self.order,
            self.stock.each_ref().map(numbers),
            self.revisions,
        )
    }

    pub(crate) fn log(&self) -> &[FactId] {
        &self.log
    }

    /// The watch is to begin here, and here again if it may lose its memory.
    pub(crate) fn begin_reading(&mut self, again: bool) {
        self.read = self.log.len();
        self.reread = again.then_some(self.read);
    }

    /// The watch lost its memory, for the last time.
    pub(crate) fn read_again(&mut self) -> bool {
        let Some(first) = self.reread.take() else { return false };
        self.read = first;
        true
    }

    pub(crate) fn is_read(&self) -> bool {
        self.read == self.log.len()
    }

    /// The next fact of the log.
    pub(crate) fn read(&mut self) -> Option<Rc<Fact>> {
        let fact = self.log.get(self.read)?.fact();
        self.read += 1;
        Some(fact)
    }

    /// The state of a sku's stock and how many events its stream has.
    pub(crate) fn stock(&self, sku: &str) -> (&stock::State, usize) {
        let at = place(sku);
        (&self.stock[at], self.revisions[at])
    }

    /// Appends to a sku's stream if it still has `expected` events.
    pub(crate) fn append_stock(
        &mut self,
        sku: &'static str,
        expected: usize,
        event: StockEvent,
        request: Option<u8>,
    ) -> Result<(), Conflict> {
        let at = place(sku);
        if self.revisions[at] != expected {
            return Err(Conflict);
        }
        self.revisions[at] += 1;
        self.stock[at] = Rc::new(StockItem::evolve((*self.stock[at]).clone(), &event));
        self.log.push(FactId::of(Fact { stream_id: sku, event: event.into(), request }));
        Ok(())
    }

    /// Decides on the current state and appends, as a conflict's retries come to in the end.
    pub(crate) fn give_stock(&mut self, sku: &'static str, command: stock::Command) {
        let (state, revision) = self.stock(sku);
        let events = StockItem::decide(state, command).unwrap();
        for (n, event) in events.into_iter().enumerate() {
            self.append_stock(sku, revision + n, event, None).unwrap();
        }
    }

    /// The order's stream, first its outcome.
    pub(crate) fn order(&self) -> &[FactId] {
        &self.order
    }

    /// The order's outcome, with the request that it came of.
    pub(crate) fn outcome(&self) -> Option<(OrderEvent, Option<u8>)> {
        let fact = self.order.first()?.fact();
        Some((fact.order_event(), fact.request))
    }

    pub(crate) fn order_state(&self) -> <Order as Decider>::State {
        let events = self.order.iter().map(|id| id.fact().order_event());
        events.fold(Default::default(), |state, event| Order::evolve(state, &event))
    }

    /// Appends to the order's stream if it still has `expected` events; 0 is `NoStream`.
    pub(crate) fn append_order(
        &mut self,
        expected: usize,
        event: OrderEvent,
        request: Option<u8>,
    ) -> Result<(), Conflict> {
        if self.order.len() != expected {
            return Err(Conflict);
        }
        let fact = FactId::of(Fact { stream_id: ORDER, event: event.into(), request });
        self.log.push(fact);
        self.order.push(fact);
        Ok(())
    }
}

fn place(sku: &str) -> usize {
    SKUS.iter().position(|known| *known == sku).unwrap()
}
