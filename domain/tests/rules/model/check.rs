//! What must be true.

use domain::order::Status;
use event_schemas::{Event, OrderEvent};

use super::{
    handler::{Answer, Handler},
    store::{ORDER, SKUS},
    world::{Scenario, World},
};

/// In every state: nothing is oversold, and an order has one outcome at most.
pub(crate) fn always(world: &World) -> Result<(), String> {
    for sku in SKUS {
        let (stock, _) = world.store.stock(sku);
        let held: i64 = stock.holds().values().map(|hold| hold.quantity).sum();
        if !(stock.on_hand() >= stock.reserved() && stock.reserved() == held) {
            return Err(format!("{sku} is oversold: {}", story(world)));
        }
    }
    let is_outcome = |event: &OrderEvent| {
        matches!(event, OrderEvent::Placed(_) | OrderEvent::Refused(_) | OrderEvent::Abandoned(_))
    };
    let mut order = world.store.order().iter().map(|id| id.fact().order_event());
    if order.next().is_some_and(|first| !is_outcome(&first))
        || order.any(|later| is_outcome(&later))
    {
        return Err(format!("not exactly one outcome: {}", story(world)));
    }
    Ok(())
}

/// Where everything has come to rest: stock and order agree, and so do the answers with both.
pub(crate) fn at_rest(scenario: &Scenario, world: &World) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {}", story(world)));
    let state = world.store.order_state();
    let line = |sku: &str| {
        let lines = state.order.iter().flat_map(|order| &order.lines).zip(&state.holds);
        lines.into_iter().find(|(line, _)| line.sku == sku)
    };
    for (sku, first) in &scenario.on_hand {
        let goods = scenario.goods.filter(|(of, _)| of == sku).map(|(_, quantity)| quantity);
        let (stock, _) = world.store.stock(sku);
        let held = stock.hold(ORDER).map(|hold| (hold.quantity, hold.number));
        let due = line(sku).map(|(line, hold)| (line.quantity, *hold));
        let came = [*first, first + goods.unwrap_or(0)];
        let left = match state.status {
            Some(Status::Placed) if held == due => 0,
            Some(Status::Dispatched) if held.is_none() => due.map_or(0, |(quantity, _)| quantity),
            Some(Status::Placed | Status::Dispatched) => {
                return wrong("a hold is not as it is due");
            }
            _ if held.is_none() => 0,
            _ => return wrong("a hold stands without an order"),
        };
        if !came.contains(&(stock.on_hand() + left)) {
            return wrong("units were lost or found");
        }
    }
    let outcome = world.store.outcome();
    for (handler, request) in world.handlers.iter().zip(&scenario.requests) {
        let Handler::Answered(answer) = handler else { continue };
        let own = |by: &Option<u8>| *by == Some(request.hash);
        let right = match (answer, &outcome) {
            (Answer::Placed, Some((OrderEvent::Placed(_), by))) => own(by),
            (Answer::Refused, Some((OrderEvent::Refused(_), by))) => own(by),
            (Answer::Abandoned, Some((OrderEvent::Abandoned(_), _))) => true,
            (Answer::Reused, outcome) => {
                let [one, other] = &scenario.requests;
                one.hash != other.hash && outcome.as_ref().is_none_or(|(_, by)| !own(by))
            }
            _ => false,
        };
        if !right {
            return wrong("an answer was not true");
        }
    }
    Ok(())
}

/// Both answers, `-` for a handler that has not answered.
pub(crate) fn answers(world: &World) -> String {
    let word = |handler: &Handler| match handler {
        Handler::Answered(Answer::Placed) => "placed",
        Handler::Answered(Answer::Refused) => "refused",
        Handler::Answered(Answer::Abandoned) => "abandoned",
        Handler::Answered(Answer::Reused) => "reused",
        _ => "-",
    };
    let [one, other] = &world.handlers;
    format!("{} {}", word(one), word(other))
}

/// The log and the answers, to be read by people.
pub(crate) fn story(world: &World) -> String {
    let facts = world.store.log().iter().map(|id| {
        let fact = id.fact();
        let detail = match &fact.event {
            Event::Stock(event) => format!("{event:?}"),
            other => other.type_name().to_owned(),
        };
        format!("{}: {detail}", fact.stream_id)
    });
    format!("{:?} after\n{}", world.handlers, facts.collect::<Vec<_>>().join("\n"))
}
