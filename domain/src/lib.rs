//! The rules of the shop, pure: no IO, no async, no clock, no randomness. Time and ids come in
//! with the command. One folder an aggregate: its commands, its state (`evolve`), its rules
//! (`decide`) and why it refuses (`Rejection`).

mod claim;
pub mod email;
pub mod order;
pub mod product;
pub mod reservation;
pub mod stock;
pub mod user;

pub use claim::Claim;

/// An aggregate: what its events make of it, and what it answers to a command.
pub trait Decider {
    /// The category of its streams.
    const CATEGORY: &'static str;
    /// What its events say together; the default is before the first of them.
    type State: Default;
    /// What can be asked of it.
    type Command;
    /// What can happen to it.
    type Event;
    /// Why it refuses.
    type Rejection;

    /// The events that the command leads to; none where all it asks for is so already.
    ///
    /// # Errors
    /// The reason why the command is refused.
    fn decide(
        state: &Self::State,
        command: Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after the event. What happened is never refused.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}
