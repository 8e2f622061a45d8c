//! All that takes part, and the search through everything that can happen.

use std::collections::{BTreeSet, HashSet, VecDeque};

use domain::{
    Decider,
    order::{self, Order, Status},
    stock,
};
use event_schemas::OrderEvent;

use super::{
    check,
    handler::{Handler, Request},
    store::{ORDER, Store},
    watch::Watch,
};
use crate::support::id;

/// What the world begins with and who takes part.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) on_hand: Vec<(&'static str, i64)>,
    pub(crate) requests: [Request; 2],
    /// Goods that come in at some moment.
    pub(crate) goods: Option<(&'static str, i64)>,
    /// What somebody does to the order once it is placed.
    pub(crate) lifecycle: Option<Lifecycle>,
    /// The watch may lose its memory once.
    pub(crate) watch_restarts: bool,
    /// Handlers break the rule that the outcome comes first.
    pub(crate) release_before_outcome: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifecycle {
    Cancel,
    Dispatch,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) handlers: [Handler; 2],
    pub(crate) watch: Watch,
    goods_came: bool,
    lifecycle: Command,
}

/// A cancellation or dispatch on its way.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Command {
    Waiting,
    /// Decided on the order's first `revision` events.
    Decided {
        revision: usize,
    },
    Ended,
}

/// What was met on the way.
pub(crate) struct Found {
    answers: BTreeSet<String>,
}

impl Found {
    /// Each of these pairs of answers was met where everything had come to rest.
    #[track_caller]
    pub(crate) fn saw<const N: usize>(&self, pairs: [&str; N]) {
        for pair in pairs {
            assert!(self.answers.contains(pair), "{pair} is not in {:?}", self.answers);
        }
    }

    /// None of the pairs met has any of these in it.
    #[track_caller]
    pub(crate) fn never_saw<const N: usize>(&self, parts: [&str; N]) {
        for part in parts {
            let met = self.answers.iter().find(|pair| pair.contains(part));
            assert!(met.is_none(), "{part} is in {met:?}");
        }
    }
}

/// Goes through every state that can be reached, each once, and checks it.
pub(crate) fn explore(scenario: &Scenario) -> Result<Found, String> {
    let first = World::new(scenario);
    let mut seen = HashSet::from([first.clone()]);
    let mut waiting = VecDeque::from([first]);
    let mut answers = BTreeSet::new();
    while let Some(world) = waiting.pop_front() {
        check::always(&world)?;
        if world.is_at_rest() {
            check::at_rest(scenario, &world)?;
            answers.insert(check::answers(&world));
        }
        let next = world.next(scenario);
        if next.is_empty() && !world.is_at_rest() {
            return Err(format!("stuck: {}", check::story(&world)));
        }
        let next = next.into_iter().map(|world| world.normalised(scenario));
        waiting.extend(next.filter(|world| seen.insert(world.clone())));
    }
    Ok(Found { answers })
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let mut store = Store::new();
        for (n, (sku, quantity)) in (1..).zip(&scenario.on_hand) {
            let (sku, product_id) = (*sku, "p".to_owned());
            store.give_stock(
                sku,
                stock::Command::Introduce { sku: sku.into(), product_id, claim: id(n) },
            );
            if *quantity > 0 {
                store.give_stock(sku, receive(*quantity));
            }
        }
        store.begin_reading(scenario.watch_restarts);
        Self {
            handlers: [Handler::Waiting, Handler::Waiting],
            watch: Watch::default(),
            store,
            goods_came: false,
            lifecycle: Command::Waiting,
        }
    }

    /// The watch has nothing left to do. Whoever else stands still may have died there: it makes
    /// no difference to the others.
    fn is_at_rest(&self) -> bool {
        self.watch.is_at_rest(&self.store)
    }

    /// Handlers of the same request can change places.
    fn normalised(mut self, scenario: &Scenario) -> Self {
        let [one, other] = &scenario.requests;
        if one.hash == other.hash {
            self.handlers.sort();
        }
        self
    }

    fn next(&self, scenario: &Scenario) -> Vec<Self> {
        let mut next = Vec::new();
        for (n, handler) in self.handlers.iter().enumerate() {
            let broken = scenario.release_before_outcome;
            for (handler, store) in handler.steps(&scenario.requests[n], &self.store, broken) {
                let mut world = Self { store, ..self.clone() };
                world.handlers[n] = handler;
                next.push(world);
            }
        }
        for (watch, store) in self.watch.steps(&self.store) {
            next.push(Self { watch, store, ..self.clone() });
        }
        let mut restarted = Self { watch: Watch::default(), ..self.clone() };
        if restarted.store.read_again() {
            next.push(restarted);
        }
        if let Some((sku, quantity)) = scenario.goods
            && !self.goods_came
        {
            let mut world = Self { goods_came: true, ..self.clone() };
            world.store.give_stock(sku, receive(quantity));
            next.push(world);
        }
        next.extend(scenario.lifecycle.and_then(|lifecycle| self.step_lifecycle(lifecycle)));
        next
    }

    fn step_lifecycle(&self, lifecycle: Lifecycle) -> Option<Self> {
        let mut world = self.clone();
        let state = self.store.order_state();
        let revision = self.store.order().len();
        world.lifecycle = match self.lifecycle {
            Command::Waiting if state.status == Some(Status::Placed) => {
                Command::Decided { revision }
            }
            Command::Decided { revision: decided_on } if decided_on == revision => {
                let event = decide(&state, lifecycle);
                world.store.append_order(revision, event, None).ok()?;
                Command::Ended
            }
            Command::Decided { .. } => Command::Waiting,
            Command::Waiting | Command::Ended => return None,
        };
        Some(world)
    }
}

fn decide(state: &order::State, lifecycle: Lifecycle) -> OrderEvent {
    let command = match lifecycle {
        Lifecycle::Cancel => order::Command::Cancel { reason: ORDER.into() },
        Lifecycle::Dispatch => order::Command::Dispatch { carrier: None, tracking: None },
    };
    Order::decide(state, command).unwrap().remove(0)
}

fn receive(quantity: i64) -> stock::Command {
    stock::Command::Receive { quantity, batch: None }
}
