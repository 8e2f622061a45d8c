//! A handler of `POST /v1/orders`, step by step.

use domain::{
    Decider,
    order::{self, Order},
    stock::{self, Rejection, StockItem},
};
use event_schemas::{OrderBody, OrderEvent, ShortLine, StockEvent};

use super::store::{ORDER, Store};
use crate::support::{hash, line, order};

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its hash.
    pub(crate) hash: u8,
    pub(crate) lines: Vec<(&'static str, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    Placed,
    Refused,
    Abandoned,
    Reused,
}

/// Where a handler stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Handler {
    /// Not begun.
    Waiting,
    /// It asks for its holds.
    Holding(Vec<Asked>),
    /// All lines have answered.
    Held(Vec<Asked>),
    /// Another outcome came first.
    Conflicted(Vec<Asked>),
    /// It releases these skus, then answers.
    Releasing(Vec<&'static str>, Answer),
    Answered(Answer),
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Asked {
    NotYet,
    /// Decided on the stream's first `revision` events, not appended yet.
    Decided {
        revision: usize,
        hold: u64,
    },
    Granted(u64),
    Short(i64),
    Reused,
    /// Given back before the outcome, against the rules.
    GivenBack(i64),
}

impl Handler {
    /// Every next step: what the handler is then, and the store.
    pub(crate) fn steps(
        &self,
        request: &Request,
        store: &Store,
        broken: bool,
    ) -> Vec<(Self, Store)> {
        match self {
            Self::Waiting => vec![(begin(request, store), store.clone())],
            Self::Holding(asked) => (0..asked.len())
                .filter_map(|at| ask(request, asked, at, store))
                .map(|(asked, store)| (all_asked(asked), store))
                .collect(),
            Self::Held(asked) => vec![settle(request, asked, store, broken)],
            Self::Conflicted(asked) => {
                let (event, by) = store.outcome().unwrap();
                let answer = answer(&event, by, request);
                vec![(release(request, asked, &event, answer), store.clone())]
            }
            Self::Releasing(skus, answer) => match skus.split_first() {
                None => vec![(Self::Answered(*answer), store.clone())],
                Some((sku, rest)) => {
                    let mut store = store.clone();
                    store.give_stock(sku, stock::Command::Release { order_id: ORDER.into() });
                    vec![(Self::Releasing(rest.to_vec(), *answer), store)]
                }
            },
            Self::Answered(_) => vec![],
        }
    }
}

/// An outcome that is there already is the answer.
fn begin(request: &Request, store: &Store) -> Handler {
    match store.outcome() {
        Some((event, by)) => Handler::Answered(answer(&event, by, request)),
        None => Handler::Holding(vec![Asked::NotYet; request.lines.len()]),
    }
}

/// One step of the line `at`: decide on the state as it is, or append what was decided.
fn ask(
    request: &Request,
    asked: &[Asked],
    at: usize,
    store: &Store,
) -> Option<(Vec<Asked>, Store)> {
    let (sku, quantity) = request.lines[at];
    let (state, revision) = store.stock(sku);
    let reserve = || stock::Command::Reserve {
        order_id: ORDER.into(),
        quantity,
        request_hash: hash(request.hash),
    };
    let mut store = store.clone();
    let next = match asked[at] {
        Asked::NotYet => match StockItem::decide(state, reserve()) {
            Ok(events) => match events.first() {
                Some(StockEvent::Reserved(event)) => Asked::Decided { revision, hold: event.hold },
                _ => Asked::Granted(state.hold(ORDER).unwrap().number),
            },
            Err(Rejection::Short { available }) => Asked::Short(available),
            Err(Rejection::KeyReused) => Asked::Reused,
            Err(other) => panic!("{other}"),
        },
        // What was decided on a state that is still current is decided again the same way.
        Asked::Decided { revision: decided_on, .. } if decided_on != revision => Asked::NotYet,
        Asked::Decided { hold, .. } => {
            let event = StockItem::decide(state, reserve()).unwrap().remove(0);
            store.append_stock(sku, revision, event, Some(request.hash)).unwrap();
            Asked::Granted(hold)
        }
        Asked::Granted(_) | Asked::Short(_) | Asked::Reused | Asked::GivenBack(_) => return None,
    };
    let mut asked = asked.to_vec();
    asked[at] = next;
    Some((asked, store))
}

fn all_asked(asked: Vec<Asked>) -> Handler {
    let open = |asked: &Asked| matches!(asked, Asked::NotYet | Asked::Decided { .. });
    if asked.iter().any(open) { Handler::Holding(asked) } else { Handler::Held(asked) }
}

/// Appends the outcome that the lines' answers call for.
fn settle(request: &Request, asked: &[Asked], store: &Store, broken: bool) -> (Handler, Store) {
    let mut store = store.clone();
    if asked.contains(&Asked::Reused) {
        // Its holds are left to the watch: it has read no outcome.
        return (Handler::Answered(Answer::Reused), store);
    }
    let short = shortages(request, asked);
    let granted = asked.iter().position(|asked| matches!(asked, Asked::Granted(_)));
    if broken
        && !short.is_empty()
        && let Some(at) = granted
    {
        let mut asked = asked.to_vec();
        store.give_stock(request.lines[at].0, stock::Command::Release { order_id: ORDER.into() });
        asked[at] = Asked::GivenBack(0);
        return (Handler::Held(asked), store);
    }
    let (order_id, order) = (ORDER.to_owned(), body(request));
    let (command, decided) = if short.is_empty() {
        (order::Command::Place { order_id, order, holds: holds(asked) }, Answer::Placed)
    } else {
        (order::Command::Refuse { order_id, order, short }, Answer::Refused)
    };
    let event = Order::decide(&order::State::default(), command).unwrap().remove(0);
    let next = match store.append_order(0, event.clone(), Some(request.hash)) {
        Ok(()) => release(request, asked, &event, decided),
        Err(_) => Handler::Conflicted(asked.to_vec()),
    };
    (next, store)
}

/// With the outcome read, gives back what it does not keep.
fn release(request: &Request, asked: &[Asked], outcome: &OrderEvent, answer: Answer) -> Handler {
    let kept = |sku: &str, number: u64| match outcome {
        OrderEvent::Placed(placed) => {
            let mut named = placed.order.lines.iter().zip(&placed.holds);
            named.any(|(line, hold)| line.sku == sku && *hold == number)
        }
        _ => false,
    };
    let skus = request.lines.iter().zip(asked).filter_map(|((sku, _), asked)| match asked {
        Asked::Granted(number) if !kept(sku, *number) => Some(*sku),
        _ => None,
    });
    Handler::Releasing(skus.collect(), answer)
}

fn answer(outcome: &OrderEvent, by: Option<u8>, request: &Request) -> Answer {
    match outcome {
        OrderEvent::Abandoned(_) => Answer::Abandoned,
        _ if by != Some(request.hash) => Answer::Reused,
        OrderEvent::Placed(_) => Answer::Placed,
        OrderEvent::Refused(_) => Answer::Refused,
        other => panic!("{other:?} is no outcome"),
    }
}

fn body(request: &Request) -> OrderBody {
    order(request.lines.iter().map(|(sku, quantity)| line(sku, *quantity, 10)))
}

fn holds(asked: &[Asked]) -> Vec<u64> {
    let granted = |asked: &Asked| match asked {
        Asked::Granted(hold) => Some(*hold),
        _ => None,
    };
    asked.iter().filter_map(granted).collect()
}

fn shortages(request: &Request, asked: &[Asked]) -> Vec<ShortLine> {
    let short = |((sku, requested), asked): (&(&str, i64), &Asked)| match asked {
        Asked::Short(available) => {
            Some(ShortLine { sku: (*sku).into(), requested: *requested, available: *available })
        }
        _ => None,
    };
    request.lines.iter().zip(asked).filter_map(short).collect()
}
