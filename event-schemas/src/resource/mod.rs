//! The resources that the outside sees, as folds of the events: a command answers with the same
//! document that a query answers later, because both are folded by this code.

mod order;
mod product;
mod stock;
mod user;

pub use order::{
    CancellationResource, DispatchResource, OrderLineResource, OrderResource, OrderStatus,
};
pub use product::{ProductResource, ProductStatus};
pub use stock::StockResource;
pub use user::UserResource;
