//! A product with its variants: what can be ordered, and at which price.

mod command;
mod decide;
mod rejection;
mod state;

use event_schemas::ProductEvent;

pub use command::{AttributesPatch, Change, Command};
pub use decide::MAX_ATTRIBUTES;
pub use rejection::Rejection;
pub use state::State;

use crate::Decider;

/// The aggregate behind `product-<id>`.
#[derive(Debug)]
pub enum Product {}

impl Decider for Product {
    const CATEGORY: &'static str = ProductEvent::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = ProductEvent;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command) -> Result<Vec<ProductEvent>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(state: State, event: &ProductEvent) -> State {
        state::evolve(state, event)
    }
}
