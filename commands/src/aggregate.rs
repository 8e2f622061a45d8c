use domain::{
    Decider,
    email::EmailClaim,
    order::Order,
    product::Product,
    stock::{self, StockItem},
    user::User,
};
use event_schemas::{EmailEvent, Event, OrderEvent, ProductEvent, StockEvent, UserEvent};
use serde::{Serialize, de::DeserializeOwned};

/// What the executor must know of an aggregate beside how it decides.
pub(crate) trait Aggregate:
    Decider<
        State: Default + Serialize + DeserializeOwned + Send + Sync,
        Command: Clone + Send + Sync,
        Event: Into<Event> + Send,
        Rejection: Send,
    > + 'static
{
    /// The version of the state's code: snapshots of another are thrown away.
    const STATE_VERSION: u32;

    /// What a caller is told of the state that its command left.
    type View: Send + Default;

    /// This aggregate's event, where it is one.
    fn event(event: &Event) -> Option<&Self::Event>;

    /// Whether the command behind the event is remembered in the state. (A hold needs no entry:
    /// it is found by its order's id.)
    fn remembers(event: &Self::Event) -> bool;

    /// The view of the state after `command`.
    fn view(_state: &Self::State, _command: &Self::Command) -> Self::View {
        Self::View::default()
    }

    /// How many entries the state has: a snapshot's cost.
    fn entries(_state: &Self::State) -> usize {
        0
    }
}

impl Aggregate for Product {
    const STATE_VERSION: u32 = 1;
    type View = ();

    fn event(event: &Event) -> Option<&ProductEvent> {
        match event {
            Event::Product(event) => Some(event),
            _ => None,
        }
    }

    fn remembers(_: &ProductEvent) -> bool {
        true
    }
}

/// The numbers of a sku after a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StockView {
    /// Units in the house.
    pub(crate) on_hand: i64,
    /// Units held for orders.
    pub(crate) reserved: i64,
    /// The hold that the command asked for, or met again.
    pub(crate) hold: Option<u64>,
}

impl Aggregate for StockItem {
    const STATE_VERSION: u32 = 1;
    type View = StockView;

    fn event(event: &Event) -> Option<&StockEvent> {
        match event {
            Event::Stock(event) => Some(event),
            _ => None,
        }
    }

    fn remembers(event: &StockEvent) -> bool {
        match event {
            StockEvent::Received(_) | StockEvent::Adjusted(_) => true,
            StockEvent::Introduced(_)
            | StockEvent::SkuReleased(_)
            | StockEvent::Reserved(_)
            | StockEvent::Released(_)
            | StockEvent::Dispatched(_) => false,
        }
    }

    fn view(state: &stock::State, command: &stock::Command) -> StockView {
        let hold = match command {
            stock::Command::Reserve { order_id, .. } => {
                state.hold(order_id).map(|hold| hold.number)
            }
            _ => None,
        };
        StockView { on_hand: state.on_hand(), reserved: state.reserved(), hold }
    }

    fn entries(state: &stock::State) -> usize {
        state.entries()
    }
}

impl Aggregate for User {
    const STATE_VERSION: u32 = 2;
    type View = ();

    fn event(event: &Event) -> Option<&UserEvent> {
        match event {
            Event::User(event) => Some(event),
            _ => None,
        }
    }

    fn remembers(_: &UserEvent) -> bool {
        true
    }
}

impl Aggregate for EmailClaim {
    const STATE_VERSION: u32 = 1;
    type View = ();

    fn event(event: &Event) -> Option<&EmailEvent> {
        match event {
            Event::Email(event) => Some(event),
            _ => None,
        }
    }

    fn remembers(_: &EmailEvent) -> bool {
        false
    }
}

impl Aggregate for Order {
    const STATE_VERSION: u32 = 1;
    type View = ();

    fn event(event: &Event) -> Option<&OrderEvent> {
        match event {
            Event::Order(event) => Some(event),
            _ => None,
        }
    }

    fn remembers(_: &OrderEvent) -> bool {
        true
    }
}
