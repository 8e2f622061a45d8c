//! The stock of one sku. Its introduction is the claim of the sku.

mod command;
mod decide;
mod rejection;
mod state;

use event_schemas::StockEvent;

pub use command::Command;
pub use rejection::Rejection;
pub use state::{Hold, State};

use crate::Decider;

/// The aggregate behind `stock-<sku>`.
#[derive(Debug)]
pub enum StockItem {}

impl Decider for StockItem {
    const CATEGORY: &'static str = StockEvent::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = StockEvent;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command) -> Result<Vec<StockEvent>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(state: State, event: &StockEvent) -> State {
        state::evolve(state, event)
    }
}
