//! What a load run sells: its own products, stock and customers, made through the API.

use std::collections::BTreeMap;

use serde_json::json;

use super::client::{Answer, Connection, Target};
use crate::failure::Failure;

/// Variants a product, when a run makes its own.
const VARIANTS: usize = 10;
/// Customers a run registers.
const CUSTOMERS: usize = 100;
/// Units that every sku receives unless told: more than any run can sell.
const PLENTY: u32 = 1_000_000_000;

/// Goods and buyers of one run.
pub(crate) struct BenchShop {
    /// Tells this run's ids from those of others.
    pub(crate) run: String,
    pub(crate) skus: Vec<String>,
    pub(crate) customers: Vec<String>,
}

/// Units of one sku.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
}

impl BenchShop {
    /// Makes `count` skus with stock, or the one `hot` sku, and the customers.
    pub(crate) async fn prepare(
        target: &Target,
        connection: &mut Connection,
        hot: Option<&str>,
        count: u32,
        stock: Option<u32>,
    ) -> Result<Self, Failure> {
        let run = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let skus: Vec<String> = match hot {
            Some(sku) => vec![sku.to_owned()],
            None => (0..count).map(|n| format!("bench-{run}-{n}")).collect(),
        };
        let currency = currency(target, connection).await?;
        let known = match hot {
            Some(sku) => stock_of(target, connection, sku).await?.is_some(),
            None => false,
        };
        if !known {
            for (n, skus) in skus.chunks(VARIANTS).enumerate() {
                let variants: Vec<_> = skus
                    .iter()
                    .map(|sku| {
                        let price = json!({ "amount": 1099, "currency": currency });
                        json!({ "sku": sku, "title": sku, "price": price })
                    })
                    .collect();
                let product = json!({
                    "id": format!("bench-{run}-p{n}"), "title": format!("Bench product {n}"),
                    "brand": "Bench", "department": "BENCH", "category": "LOAD",
                    "variants": variants,
                });
                let request = target.post("/v1/products", &key(&run), product.to_string());
                expect(connection.send(request).await, 201, "a product")?;
            }
        }
        if !known || stock.is_some() {
            let receipt = json!({ "quantity": stock.unwrap_or(PLENTY) }).to_string();
            for sku in &skus {
                let path = format!("/v1/stock/{sku}/receipts");
                let request = target.post(&path, &key(&run), receipt.clone());
                expect(connection.send(request).await, 201, "a receipt of stock")?;
            }
        }
        let customers: Vec<String> = (0..CUSTOMERS).map(|n| format!("bench-{run}-c{n}")).collect();
        for customer in &customers {
            let email = format!("{customer}@example.com");
            let personal = json!({ "name": "Bench", "email": email });
            let user = json!({ "id": customer, "personal": personal }).to_string();
            let request = target.post("/v1/users", &key(&run), user);
            expect(connection.send(request).await, 201, "a customer")?;
        }
        Ok(Self { run, skus, customers })
    }

    /// The units of every sku, once everything up to `position` is posted.
    pub(crate) async fn units(
        &self,
        target: &Target,
        connection: &mut Connection,
        position: Option<&str>,
    ) -> Result<BTreeMap<String, Units>, Failure> {
        let mut all = BTreeMap::new();
        for sku in &self.skus {
            let request = waiting(target.get(&format!("/v1/stock/{sku}")), position);
            let answer = expect(connection.send(request).await, 200, "the stock of a sku")?;
            let units = units(&answer).ok_or_else(|| {
                Failure::failed(format!("the stock of {sku} came without its numbers"))
            })?;
            all.insert(sku.clone(), units);
        }
        Ok(all)
    }
}

/// Lets a query wait until `position` is posted.
pub(crate) fn waiting<B>(
    mut request: http::Request<B>,
    position: Option<&str>,
) -> http::Request<B> {
    if let Some(position) = position.and_then(|position| position.parse().ok()) {
        request.headers_mut().insert("daybook-position", position);
        request.headers_mut().insert("prefer", http::HeaderValue::from_static("wait=30"));
    }
    request
}

/// The answer, if it has the wanted status; else what went wrong.
pub(crate) fn expect(
    answer: Result<Answer, super::client::Lost>,
    status: u16,
    what: &str,
) -> Result<Answer, Failure> {
    match answer {
        Ok(answer) if answer.status.as_u16() == status => Ok(answer),
        Ok(answer) => Err(Failure::failed(format!(
            "{what}: the server answered {}: {}",
            answer.kind(),
            String::from_utf8_lossy(&answer.body)
        ))),
        Err(lost) => Err(Failure::failed(format!("{what}: {}", lost.kind()))),
    }
}

fn key(run: &str) -> String {
    format!("{run}-{}", uuid::Uuid::new_v4())
}

async fn stock_of(
    target: &Target,
    connection: &mut Connection,
    sku: &str,
) -> Result<Option<Units>, Failure> {
    let answer = connection.send(target.get(&format!("/v1/stock/{sku}"))).await;
    match answer {
        Ok(answer) if answer.status == 404 => Ok(None),
        answer => Ok(units(&expect(answer, 200, "the stock of the sku")?)),
    }
}

fn units(answer: &Answer) -> Option<Units> {
    let stock = answer.json();
    Some(Units { on_hand: stock["on_hand"].as_i64()?, reserved: stock["reserved"].as_i64()? })
}

/// The shop's currency, as its products say; a shop without products is taken for one in dollars.
async fn currency(target: &Target, connection: &mut Connection) -> Result<String, Failure> {
    let request = target.get("/v1/products?limit=1");
    let answer = expect(connection.send(request).await, 200, "the list of products")?;
    let products = answer.json();
    let currency = products["items"][0]["variants"][0]["price"]["currency"].as_str();
    Ok(currency.unwrap_or("USD").to_owned())
}
