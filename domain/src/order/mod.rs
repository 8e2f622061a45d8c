//! An order. Its first event is its outcome: placed, refused or abandoned.

mod command;
mod decide;
mod lines;
mod rejection;
mod state;

use event_schemas::OrderEvent;

pub use command::Command;
pub use lines::{MAX_LINES, MAX_QUANTITY, line_total, price_lines};
pub use rejection::Rejection;
pub use state::{State, Status};

use crate::Decider;

/// The aggregate behind `order-<id>`.
#[derive(Debug)]
pub enum Order {}

impl Decider for Order {
    const CATEGORY: &'static str = OrderEvent::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = OrderEvent;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command) -> Result<Vec<OrderEvent>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(state: State, event: &OrderEvent) -> State {
        state::evolve(state, event)
    }
}
