use std::borrow::Cow;

use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    AccessEvent, CATEGORIES, EmailEvent, OrderEvent, Personal, ProductEvent, StockEvent, UserEvent,
    upcast,
};

/// One event of one of Daybook's own categories, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of a product.
    Product(ProductEvent),
    /// Of a sku's stock.
    Stock(StockEvent),
    /// Of a user.
    User(UserEvent),
    /// Of the claim of an e-mail address.
    Email(EmailEvent),
    /// Of an order.
    Order(OrderEvent),
    /// Of what is looked at.
    Access(AccessEvent),
}

/// Why an event of one of Daybook's categories cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The category has no such type.
    #[error(
        "the category {category:?} has no event type {event_type:?} known to this version of Daybook"
    )]
    UnknownType {
        /// The stream's category.
        category: String,
        /// The type met.
        event_type: String,
        /// Its schema version; `None` where its metadata does not tell it.
        version: Option<u32>,
    },
    /// A newer Daybook wrote it.
    #[error(
        "{event_type} has schema version {version}, newer than the {known} that this version of Daybook knows"
    )]
    NewerVersion {
        /// The type met.
        event_type: String,
        /// The version met.
        version: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The bytes do not fit the schema.
    #[error("{event_type}: {reason}")]
    Malformed {
        /// The type met.
        event_type: String,
        /// What does not fit.
        reason: String,
    },
    /// EventStoreDB itself wrote it into one of Daybook's streams.
    #[error("{0} is an event of the store itself and tells Daybook nothing")]
    System(String),
    /// The stream is none of Daybook's own.
    #[error("the category {0:?} is none of Daybook's own")]
    Foreign(String),
}

/// An event that may not be written: its personal data is not sealed.
#[derive(Debug, Error)]
#[error("{event_type} cannot be encoded: {source}")]
pub struct EncodeError {
    /// The type.
    pub event_type: &'static str,
    /// What the encoder said.
    pub source: serde_json::Error,
}

/// The events of one category: the enum, each type's name and current schema version, and the way
/// to bytes and back.
macro_rules! events {
    (
        $(#[$doc:meta])*
        $name:ident in $category:literal {
            $($variant:ident($body:ident) = $type:literal $version:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $type, "`")] $variant($body),)*
        }

        impl $name {
            /// The category of the streams that hold these events.
            pub const CATEGORY: &'static str = $category;
            /// Each type with its current schema version.
            pub const TYPES: &'static [(&'static str, u32)] = &[$(($type, $version)),*];

            /// The event type's name, as it stands in the store.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $type,)* }
            }

            /// The schema version that this program writes.
            pub const fn schema_version(&self) -> u32 {
                match self { $(Self::$variant(_) => $version,)* }
            }

            pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self { $(Self::$variant(body) => serde_json::to_vec(body),)* }
            }

            pub(crate) fn decode(
                event_type: &str,
                version: u32,
                data: &[u8],
            ) -> Result<Self, $crate::DecodeError> {
                match event_type {
                    $($type => $crate::upcast::read($type, version, $version, data).map(Self::$variant),)*
                    _ => Err($crate::DecodeError::UnknownType {
                        category: $category.to_owned(),
                        event_type: event_type.to_owned(),
                        version: Some(version),
                    }),
                }
            }

            pub(crate) fn add_schemas(schemas: &mut $crate::schema::Schemas) {
                $(schemas.add::<$body>($type, $version);)*
            }
        }

        $(impl From<$body> for $name {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })*
    };
}
pub(crate) use events;

impl Event {
    /// The event type's name, as it stands in the store.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Product(event) => event.type_name(),
            Self::Stock(event) => event.type_name(),
            Self::User(event) => event.type_name(),
            Self::Email(event) => event.type_name(),
            Self::Order(event) => event.type_name(),
            Self::Access(event) => event.type_name(),
        }
    }

    /// The schema version that this program writes.
    pub const fn schema_version(&self) -> u32 {
        match self {
            Self::Product(event) => event.schema_version(),
            Self::Stock(event) => event.schema_version(),
            Self::User(event) => event.schema_version(),
            Self::Email(event) => event.schema_version(),
            Self::Order(event) => event.schema_version(),
            Self::Access(event) => event.schema_version(),
        }
    }

    /// The event's data as JSON.
    ///
    /// # Errors
    /// If the event holds personal data that is not sealed.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let data = match self {
            Self::Product(event) => event.encode(),
            Self::Stock(event) => event.encode(),
            Self::User(event) => event.encode(),
            Self::Email(event) => event.encode(),
            Self::Order(event) => event.encode(),
            Self::Access(event) => event.encode(),
        };
        data.map_err(|source| EncodeError { event_type: self.type_name(), source })
    }

    /// Reads an event of any version that ever was; unknown members are ignored.
    ///
    /// # Errors
    /// [`DecodeError`], with [`DecodeError::Foreign`] outside of Daybook's categories.
    pub fn decode(
        category: &str,
        event_type: &str,
        version: u32,
        data: &[u8],
    ) -> Result<Self, DecodeError> {
        match category {
            ProductEvent::CATEGORY => {
                ProductEvent::decode(event_type, version, data).map(Self::Product)
            }
            StockEvent::CATEGORY => StockEvent::decode(event_type, version, data).map(Self::Stock),
            UserEvent::CATEGORY => UserEvent::decode(event_type, version, data).map(Self::User),
            EmailEvent::CATEGORY => EmailEvent::decode(event_type, version, data).map(Self::Email),
            OrderEvent::CATEGORY => OrderEvent::decode(event_type, version, data).map(Self::Order),
            AccessEvent::CATEGORY => {
                AccessEvent::decode(event_type, version, data).map(Self::Access)
            }
            other => {
                debug_assert!(!CATEGORIES.contains(&other));
                Err(DecodeError::Foreign(other.to_owned()))
            }
        }
    }

    /// The newest schema version of a type in a category; `None` where the category has no such type.
    pub fn known_version(category: &str, event_type: &str) -> Option<u32> {
        let types = match category {
            ProductEvent::CATEGORY => ProductEvent::TYPES,
            StockEvent::CATEGORY => StockEvent::TYPES,
            UserEvent::CATEGORY => UserEvent::TYPES,
            EmailEvent::CATEGORY => EmailEvent::TYPES,
            OrderEvent::CATEGORY => OrderEvent::TYPES,
            AccessEvent::CATEGORY => AccessEvent::TYPES,
            _ => return None,
        };
        types.iter().find(|(name, _)| *name == event_type).map(|(_, version)| *version)
    }

    /// The event's personal data, where it has any.
    pub const fn personal(&self) -> Option<&Personal> {
        match self {
            Self::User(UserEvent::Registered(event)) => event.personal.as_ref(),
            _ => None,
        }
    }

    /// The event's personal data, to be sealed.
    pub const fn personal_mut(&mut self) -> Option<&mut Personal> {
        match self {
            Self::User(UserEvent::Registered(event)) => event.personal.as_mut(),
            _ => None,
        }
    }

    /// The name of one of the current event types, as a text that need not be copied.
    pub fn type_named(name: &str) -> Option<&'static str> {
        Self::types().into_iter().map(|(known, _)| known).find(|known| *known == name)
    }

    /// Every current event type with its schema version, each once.
    pub fn types() -> Vec<(&'static str, u32)> {
        let mut types: Vec<_> = [
            ProductEvent::TYPES,
            StockEvent::TYPES,
            UserEvent::TYPES,
            EmailEvent::TYPES,
            OrderEvent::TYPES,
            AccessEvent::TYPES,
        ]
        .concat();
        types.sort_unstable();
        types.dedup();
        types
    }
}

macro_rules! into_event {
    ($($event:ident => $variant:ident),*) => {
        $(impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        })*
    };
}
into_event!(ProductEvent => Product, StockEvent => Stock, UserEvent => User, EmailEvent => Email, OrderEvent => Order, AccessEvent => Access);

/// Checks once, at start, that every old version has a way to the current one.
///
/// # Errors
/// Names the first type and version without one.
pub(crate) fn check_chain() -> Result<(), String> {
    for (event_type, current) in Event::types() {
        upcast::check(event_type, current)?;
    }
    Ok(())
}

/// A text that is read on the spot: borrowed from the JSON wherever it stands there as it is.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Reads JSON. Text that is seen as a whole to be UTF-8 is not looked at again string by string.
pub(crate) fn from_json<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // Which fails where the text is wrong, and says so.
        Err(_) => serde_json::from_slice(json),
    }
}
