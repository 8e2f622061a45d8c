//! One file a command: what it asks for, the use case (called by HTTP and by the import), and its
//! route.

/// Add a variant to a product.
pub mod add_variant;
/// Correct what is on hand.
pub mod adjust_stock;
/// Cancel an order.
pub mod cancel_order;
pub mod change_order;
/// Change a product.
pub mod change_product;
pub mod change_stock;
/// Make a product.
pub mod create_product;
/// Note that an order arrived.
pub mod deliver_order;
/// Dispatch an order.
pub mod dispatch_order;
/// Forget a person.
pub mod forget_user;
/// Bring in an order of the past.
pub mod import_order;
/// Place an order.
pub mod place_order;
/// Receive units.
pub mod receive_stock;
/// Register a user.
pub mod register_user;
/// Set a price.
pub mod set_price;

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{MethodRouter, patch, post, put},
};

use crate::{Commands, http};

/// Each path with what answers there.
pub(crate) fn routes() -> [(&'static str, MethodRouter<Commands>); 12] {
    [
        ("/v1/products", post(create_product::route)),
        ("/v1/products/{id}", patch(change_product::route)),
        ("/v1/products/{id}/variants", post(add_variant::route)),
        ("/v1/products/{id}/variants/{sku}/price", put(set_price::route)),
        ("/v1/stock/{sku}/receipts", post(receive_stock::route)),
        ("/v1/stock/{sku}/adjustments", post(adjust_stock::route)),
        ("/v1/users", post(register_user::route)),
        ("/v1/users/{id}/forget", post(forget_user::route)),
        ("/v1/orders", post(place_order::route)),
        ("/v1/orders/{id}/cancellation", post(cancel_order::route)),
        ("/v1/orders/{id}/dispatch", post(dispatch_order::route)),
        ("/v1/orders/{id}/delivery", post(deliver_order::route)),
    ]
}

/// Every route of the command side.
pub fn router(commands: Commands) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, route)| router.route(path, route))
        .route_layer(from_fn_with_state(commands.clone(), http::position))
        .with_state(commands)
}
