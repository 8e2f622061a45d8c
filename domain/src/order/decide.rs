use event_schemas::{
    OrderAbandoned, OrderCancelled, OrderDelivered, OrderDispatched, OrderEvent, OrderPlaced,
    OrderRefused,
};

use super::{Command, Rejection, State, Status, lines};

pub(super) fn decide(state: &State, command: Command) -> Result<Vec<OrderEvent>, Rejection> {
    let event = match command {
        Command::Place { order, holds, .. } => {
            no_outcome(state)?;
            lines::check(&order)?;
            if holds.len() != order.lines.len() {
                return Err(Rejection::Unheld);
            }
            OrderPlaced { order, holds }.into()
        }
        Command::Refuse { order, short, .. } => {
            no_outcome(state)?;
            lines::check(&order)?;
            OrderRefused { order, short }.into()
        }
        Command::Abandon => {
            no_outcome(state)?;
            OrderAbandoned {}.into()
        }
        Command::Cancel { reason } => {
            only_from(state, &[Status::Placed])?;
            let order = state.order.clone().ok_or(Rejection::NotFound)?;
            OrderCancelled { reason, order }.into()
        }
        Command::Dispatch { carrier, tracking } => {
            only_from(state, &[Status::Placed])?;
            OrderDispatched { carrier, tracking, holds: state.line_holds() }.into()
        }
        Command::Deliver => {
            only_from(state, &[Status::Dispatched])?;
            OrderDelivered {}.into()
        }
    };
    Ok(vec![event])
}

fn no_outcome(state: &State) -> Result<(), Rejection> {
    match state.status {
        None => Ok(()),
        Some(status) => Err(Rejection::HasOutcome { status }),
    }
}

fn only_from(state: &State, allowed: &'static [Status]) -> Result<(), Rejection> {
    match state.status {
        None => Err(Rejection::NotFound),
        Some(status) if allowed.contains(&status) => Ok(()),
        Some(status) => Err(Rejection::Status { status, allowed }),
    }
}
