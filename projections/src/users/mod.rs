//! Users, with the sums and the first and last of their orders.

mod tables;

use event_schemas::{Currency, Event, OrderBody, OrderEvent, Personal, UserEvent};
use infra::read_models::{ReadModelError, Row, Schema, Table, Value};

use crate::{Entry, FoldError, Projection, Record, Rows, Working, counts::Count, projection::add};

pub use tables::{SCHEMA, USER_ORDERS, USERS};

/// The fold of users.
#[derive(Debug, Default)]
pub struct Users {
    users: Rows<User>,
    orders: Rows<UserOrder>,
    counts: Rows<Count>,
}

#[derive(Debug, Default)]
struct User {
    id: String,
    registered_at: Option<i64>,
    personal: Option<String>,
    personal_event: Option<String>,
    revision: Option<i64>,
    orders: i64,
    units: i64,
    revenue: i64,
    currency: Option<String>,
}

#[derive(Debug)]
struct UserOrder {
    key: (String, i64, String),
    total: i64,
    currency: String,
}

impl Record for User {
    const KEPT: usize = 20_000;
    type Key = String;

    fn table() -> &'static Table {
        &USERS
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn write_key(key: &String, values: &mut Vec<Value>) {
        values.push(key.as_str().into());
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        Ok(Self {
            id: row.text(0)?,
            registered_at: row.optional_integer(1)?,
            personal: row.optional_text(2)?,
            personal_event: row.optional_text(3)?,
            revision: row.optional_integer(4)?,
            orders: row.integer(5)?,
            units: row.integer(6)?,
            revenue: row.integer(7)?,
            currency: row.optional_text(8)?,
        })
    }

    fn write(&self, values: &mut Vec<Value>) {
        values.extend([
            self.registered_at.into(),
            self.personal.clone().into(),
            self.personal_event.clone().into(),
            self.revision.into(),
            self.orders.into(),
            self.units.into(),
            self.revenue.into(),
            self.currency.clone().into(),
        ]);
    }
}

impl Record for UserOrder {
    const KEPT: usize = 2_000;
    type Key = (String, i64, String);

    fn table() -> &'static Table {
        &USER_ORDERS
    }

    fn key(&self) -> Self::Key {
        self.key.clone()
    }

    fn write_key((user, placed_at, order): &Self::Key, values: &mut Vec<Value>) {
        values.extend([user.as_str().into(), (*placed_at).into(), order.as_str().into()]);
    }

    fn read(row: &mut Row) -> Result<Self, ReadModelError> {
        Ok(Self {
            key: (row.text(0)?, row.integer(1)?, row.text(2)?),
            total: row.integer(3)?,
            currency: row.text(4)?,
        })
    }

    fn write(&self, values: &mut Vec<Value>) {
        values.extend([self.total.into(), self.currency.as_str().into()]);
    }
}

impl Projection for Users {
    const SCHEMA: &'static Schema = &SCHEMA;
    const CATEGORIES: &'static [&'static str] = &[UserEvent::CATEGORY, OrderEvent::CATEGORY];

    fn touch(&mut self, entry: Entry<'_>) {
        match entry.event() {
            Event::User(_) => {
                self.users.want(entry.id().to_owned());
                self.counts.want("users");
            }
            Event::Order(OrderEvent::Placed(event)) => {
                self.users.want(event.order.customer_id.clone());
            }
            // The row in `user_orders` is deleted, whatever it holds.
            Event::Order(OrderEvent::Cancelled(event)) => {
                self.users.want(event.order.customer_id.clone());
            }
            _ => {}
        }
    }

    fn fold(&mut self, entry: Entry<'_>) -> Result<(), FoldError> {
        match entry.event() {
            Event::User(event) => self.fold_user(entry, event),
            Event::Order(OrderEvent::Placed(event)) => {
                self.count(&event.order, 1)?;
                let key = order_key(entry, &event.order);
                let row = self.orders.change(key.clone());
                *row = Some(UserOrder {
                    key,
                    total: event.order.total,
                    currency: event.order.currency.to_string(),
                });
                Ok(())
            }
            Event::Order(OrderEvent::Cancelled(event)) => {
                self.count(&event.order, -1)?;
                *self.orders.change(order_key(entry, &event.order)) = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn tables(&mut self) -> Vec<&mut dyn Working> {
        vec![&mut self.users, &mut self.orders, &mut self.counts]
    }
}

impl Users {
    fn fold_user(&mut self, entry: Entry<'_>, event: &UserEvent) -> Result<(), FoldError> {
        let user = self.user(entry.id());
        match event {
            UserEvent::Registered(event) => {
                user.revision = Some(entry.revision());
                user.registered_at = Some(entry.metadata().occurred_at.as_micros());
                if let Some(Personal::Sealed(sealed)) = &event.personal {
                    user.personal = Some(sealed.clone());
                    user.personal_event = Some(entry.logged.id.to_string());
                }
                self.counts.add("users", 1, 1)
            }
            UserEvent::ClaimAbandoned(_) => {
                user.revision = Some(entry.revision());
                Ok(())
            }
            // Orders and sums stay.
            UserEvent::Forgotten(_) => {
                user.revision = Some(entry.revision());
                (user.personal, user.personal_event) = (None, None);
                Ok(())
            }
        }
    }

    /// Adds an order to its customer's sums, or (`times` -1) takes it back.
    fn count(&mut self, order: &OrderBody, times: i64) -> Result<(), FoldError> {
        let user = self.user(&order.customer_id);
        same_currency(&mut user.currency, order.currency)?;
        add(&mut user.orders, times, 1, "a user's orders")?;
        for line in &order.lines {
            add(&mut user.units, times, line.quantity, "a user's units")?;
        }
        add(&mut user.revenue, times, order.total, "a user's revenue")
    }

    fn user(&mut self, id: &str) -> &mut User {
        self.users
            .change(id.to_owned())
            .get_or_insert_with(|| User { id: id.to_owned(), ..User::default() })
    }
}

fn order_key(entry: Entry<'_>, order: &OrderBody) -> (String, i64, String) {
    (order.customer_id.clone(), order.placed_at.as_micros(), entry.id().to_owned())
}

/// Amounts in two currencies have no sum.
fn same_currency(known: &mut Option<String>, found: Currency) -> Result<(), FoldError> {
    match known {
        Some(known) if known != found.as_str() => {
            Err(FoldError::Currency { found: found.to_string(), known: known.clone() })
        }
        Some(_) => Ok(()),
        None => {
            *known = Some(found.to_string());
            Ok(())
        }
    }
}
