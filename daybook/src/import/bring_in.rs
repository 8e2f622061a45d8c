//! From what a row asks for to the use case, and what its answers mean to an import.

use std::time::Duration;

use commands::{
    Commands, Context, Failure, request_hash,
    routes::{
        change_stock::StockError,
        create_product::{NewProduct, ProductError, create_product},
        import_order::{ImportOrder, NotImported, import_order},
        receive_stock::{ReceiveStock, receive_stock},
    },
};
use event_schemas::resource::OrderStatus;

/// What a row, or the rows of an order, ask for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Product(Box<NewProduct>),
    Stock {
        sku: String,
        received: ReceiveStock,
    },
    Order {
        order: Box<ImportOrder>,
        /// The line of the file of each line of the order.
        numbers: Vec<u64>,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    New,
    ThereBefore,
}

/// Why it did not come in.
#[derive(Debug)]
pub(super) enum NotBroughtIn {
    /// It cannot be: the reason goes to the list.
    Refused(String),
    /// An engine is in the way, and stays there.
    Failed(Failure),
}

/// Waits between tries; together about twenty seconds.
const WAITS: [u64; 10] = [20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 5_000, 5_000];

/// Brings it in. What may pass is tried again: the key is the same, so nothing is done twice.
pub(super) async fn bring_in(commands: &Commands, asked: Asked) -> Result<Outcome, NotBroughtIn> {
    for wait in WAITS {
        match once(commands, asked.clone()).await {
            Err(NotBroughtIn::Failed(
                Failure::Busy
                | Failure::Unknown(_)
                | Failure::Contended(_)
                | Failure::Unavailable(_),
            )) => tokio::time::sleep(Duration::from_millis(wait)).await,
            answer => return answer,
        }
    }
    once(commands, asked).await
}

async fn once(commands: &Commands, asked: Asked) -> Result<Outcome, NotBroughtIn> {
    match asked {
        Asked::Product(product) => {
            let hash = request_hash(commands.keys(), &product);
            let context = Context::import("products", &product.id, hash, None);
            let made = create_product(commands, *product, context).await.map_err(product_error)?;
            Ok(outcome(made.replayed))
        }
        Asked::Stock { sku, received } => {
            let hash = request_hash(commands.keys(), &received);
            let batch = received.batch.as_deref().unwrap_or_default();
            let context = Context::import("stock", &format!("{batch}/{sku}"), hash, None);
            let after = receive_stock(commands, &sku, received, context).await;
            let after = after.map_err(stock_error)?;
            Ok(outcome(after.replayed || after.position.is_none()))
        }
        Asked::Order { order, numbers } => {
            let hash = request_hash(commands.keys(), &order);
            let skus: Vec<String> = order.lines.iter().map(|line| line.sku.clone()).collect();
            let settled = import_order(commands, *order, hash).await;
            let settled = settled.map_err(|error| order_error(error, &skus, &numbers))?;
            let order = settled.outcome.order;
            if order.status != OrderStatus::Refused {
                return Ok(outcome(settled.replayed));
            }
            let short = order.short.into_iter().map(|short| {
                format!(
                    "sku {}: {} asked for, {} available",
                    short.sku, short.requested, short.available
                )
            });
            let short: Vec<_> = short.collect();
            Err(NotBroughtIn::Refused(format!("not enough stock: {}", short.join("; "))))
        }
    }
}

fn outcome(replayed: bool) -> Outcome {
    if replayed { Outcome::ThereBefore } else { Outcome::New }
}

fn failed(failure: Failure) -> NotBroughtIn {
    match failure {
        Failure::TooLarge { .. } => NotBroughtIn::Refused(failure.to_string()),
        failure => NotBroughtIn::Failed(failure),
    }
}

fn product_error(error: ProductError) -> NotBroughtIn {
    match error {
        ProductError::Failed(failure) => failed(failure),
        ProductError::KeyReused => {
            NotBroughtIn::Refused("this product came in before with other content".to_owned())
        }
        ProductError::Changed(_) | ProductError::SkuTaken(_) | ProductError::Rejected(_) => {
            NotBroughtIn::Refused(error.to_string())
        }
    }
}

fn stock_error(error: StockError) -> NotBroughtIn {
    match error {
        StockError::Failed(failure) => failed(failure),
        StockError::KeyReused => {
            NotBroughtIn::Refused("this sku came in before with another quantity".to_owned())
        }
        StockError::UnknownSku(_) | StockError::Rejected(_) => {
            NotBroughtIn::Refused(error.to_string())
        }
    }
}

fn order_error(error: NotImported, skus: &[String], numbers: &[u64]) -> NotBroughtIn {
    match error {
        NotImported::Failed(failure) => failed(failure),
        NotImported::KeyReused => {
            NotBroughtIn::Refused("this order came in before with other content".to_owned())
        }
        NotImported::UnknownSku(sku) => {
            let at = skus.iter().position(|known| *known == sku);
            let line = at.and_then(|at| numbers.get(at)).copied().unwrap_or_default();
            NotBroughtIn::Refused(format!("line {line}: no product has the sku {sku:?}"))
        }
        NotImported::Rejected(rejection) => NotBroughtIn::Refused(rejection.to_string()),
    }
}
