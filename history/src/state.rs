use event_schemas::{
    DecodeError, Event, OrderEvent, ProductEvent, Recorded, StockEvent, StreamName, UserEvent,
    resource::{OrderResource, ProductResource, StockResource, UserResource},
};
use serde::Serialize;

/// What a past state can be asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An order, by its id.
    Order,
    /// The stock of a sku.
    Stock,
    /// A user, by its id.
    User,
    /// A product, by its id.
    Product,
}

/// Something as it was: the very document that its GET answers, folded by the same code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum State {
    /// An order.
    Order(OrderResource),
    /// The stock of a sku.
    Stock(StockResource),
    /// A user; what is personal is sealed.
    User(UserResource),
    /// A product.
    Product(ProductResource),
}

impl Kind {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Stock => "sku",
            Self::User => "user",
            Self::Product => "product",
        }
    }

    /// Its stream.
    pub fn stream(self, id: &str) -> StreamName {
        let category = match self {
            Self::Order => OrderEvent::CATEGORY,
            Self::Stock => StockEvent::CATEGORY,
            Self::User => UserEvent::CATEGORY,
            Self::Product => ProductEvent::CATEGORY,
        };
        StreamName::new(category, id)
    }

    /// Whose stream it is, if it is one of these.
    pub fn of(stream: &StreamName) -> Option<Self> {
        match stream.category() {
            OrderEvent::CATEGORY => Some(Self::Order),
            StockEvent::CATEGORY => Some(Self::Stock),
            UserEvent::CATEGORY => Some(Self::User),
            ProductEvent::CATEGORY => Some(Self::Product),
            _ => None,
        }
    }

    /// A state that was written down.
    pub(crate) fn read(self, json: &str) -> Option<State> {
        match self {
            Self::Order => serde_json::from_str(json).ok().map(State::Order),
            Self::Stock => serde_json::from_str(json).ok().map(State::Stock),
            Self::Product => serde_json::from_str(json).ok().map(State::Product),
            // It says what it needs to be opened nowhere but in its events.
            Self::User => None,
        }
    }
}

impl State {
    /// The state after one more event of its stream; `None` where there is nothing (yet).
    ///
    /// # Errors
    /// If the event cannot be read.
    pub(crate) fn evolve(
        before: Option<Self>,
        recorded: &Recorded,
    ) -> Result<Option<Self>, DecodeError> {
        let decoded = recorded.decode().map_err(Clone::clone)?;
        let (id, metadata) = (recorded.stream.id(), &decoded.metadata);
        Ok(match (&decoded.event, before) {
            (Event::Order(event), before) => {
                let before = before.and_then(Self::order);
                OrderResource::evolve(before, id, event, metadata).map(Self::Order)
            }
            (Event::Stock(event), before) => {
                StockResource::evolve(before.and_then(Self::stock), id, event).map(Self::Stock)
            }
            (Event::User(event), before) => {
                let before = before.and_then(Self::user);
                UserResource::evolve(before, id, event, metadata, recorded.id).map(Self::User)
            }
            (Event::Product(event), before) => {
                ProductResource::evolve(before.and_then(Self::product), event).map(Self::Product)
            }
            (Event::Email(_) | Event::Access(_), before) => before,
        })
    }

    fn order(self) -> Option<OrderResource> {
        match self {
            Self::Order(order) => Some(order),
            _ => None,
        }
    }

    fn stock(self) -> Option<StockResource> {
        match self {
            Self::Stock(stock) => Some(stock),
            _ => None,
        }
    }

    fn user(self) -> Option<UserResource> {
        match self {
            Self::User(user) => Some(user),
            _ => None,
        }
    }

    fn product(self) -> Option<ProductResource> {
        match self {
            Self::Product(product) => Some(product),
            _ => None,
        }
    }
}
