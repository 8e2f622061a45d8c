//! The catalogue of a grocery as events, for measurements.

use std::{fs::File, sync::Arc};

use event_schemas::{
    Actor, Currency, Event, Logged, Metadata, NewEvent, Position, ProductCreated, ProductEvent,
    Recorded, Revision, StockEvent, StockReceived, StoreId, StreamName, Timestamp, Variant,
    resource::ProductStatus,
};
use infra::read_models::Checkpoint;
use projections::{Batch, Entry, Sink, search::SearchSink};
use uuid::Uuid;

/// The store that the events are of.
pub(crate) const STORE: StoreId = StoreId(Uuid::from_u128(1));
/// The events of a batch of a rebuild.
const BATCH: usize = 8_000;

/// Posts events as a rebuild does.
pub(crate) async fn post(sink: &mut SearchSink, events: &[Logged]) {
    let mut from = sink.checkpoint().await.unwrap();
    for batch in events.chunks(BATCH) {
        let last = batch.last().unwrap();
        let last = (last.position, last.id);
        let to = Checkpoint { position: last.0, last: Some(last), ..from.clone() };
        let events = batch
            .iter()
            .map(|logged| Entry { logged, decoded: logged.decode().unwrap() })
            .collect();
        sink.apply(&Batch { from, to: to.clone(), events }).await.unwrap();
        from = to;
    }
    sink.install().await.unwrap();
}

/// The products of a file with the columns sku, title, brand, department, category and price.
pub(crate) fn read(path: &str) -> Vec<ProductCreated> {
    let file = flate2::read::MultiGzDecoder::new(File::open(path).unwrap());
    let mut rows = csv::Reader::from_reader(file);
    let headers = rows.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let (sku, title, brand) = (column("sku"), column("title"), column("brand"));
    let (department, category, price) = (column("department"), column("category"), column("price"));
    let product = |row: csv::StringRecord| {
        let amount = row[price].replace('.', "").parse().unwrap();
        ProductCreated {
            product_id: row[sku].to_owned(),
            title: row[title].to_owned(),
            brand: row[brand].to_owned(),
            department: row[department].to_owned(),
            category: row[category].to_owned(),
            attributes: [].into(),
            status: ProductStatus::OnShelf,
            variants: vec![Variant {
                sku: row[sku].to_owned(),
                title: String::new(),
                price: Currency::USD.money(amount),
            }],
        }
    };
    rows.records().map(|row| product(row.unwrap())).collect()
}

/// The events that make them.
pub(crate) fn created(products: &[ProductCreated]) -> impl Iterator<Item = Logged> {
    (1..).zip(products).map(|(position, product)| {
        let event = Event::from(ProductEvent::from(product.clone()));
        logged(position, StreamName::new("product", &product.product_id), 0, event)
    })
}

/// The events of their first stock, behind the others.
pub(crate) fn received(products: &[ProductCreated]) -> impl Iterator<Item = Logged> {
    (products.len() as u64 + 1..).zip(products).map(|(position, product)| {
        let received = StockReceived { quantity: 9, batch: None, on_hand: 9, reserved: 0 };
        let event = Event::from(StockEvent::from(received));
        logged(position, StreamName::new("stock", &product.product_id), 1, event)
    })
}

fn logged(position: u64, stream: StreamName, revision: u64, event: Event) -> Logged {
    let metadata = Metadata {
        schema_version: 1,
        occurred_at: Timestamp::saturating(0),
        recorded_at: Timestamp::saturating(0),
        actor: Actor::import("products"),
        command_id: Uuid::nil(),
        request_hash: None,
        correlation_id: String::new(),
        causation_id: Uuid::nil(),
        traceparent: None,
    };
    let event = NewEvent::new(Uuid::from_u128(position.into()), event, metadata).unwrap();
    let recorded = Recorded::written(event, stream, Revision(revision));
    Logged { position: Position(position), recorded: Arc::new(recorded) }
}
