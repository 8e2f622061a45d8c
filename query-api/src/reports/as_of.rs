//! Sales as they would have been read at a moment: folded from the log up to there, by the same code
//! that posts them.

use std::collections::BTreeMap;

use event_schemas::{Currency, Event, OrderEvent, Position, Timestamp};
use history::PastError;
use infra::event_store::{Direction, EventStore, Filter, MAX_PAGE};
use projections::sales::{Dimension, sold};

use super::sums::{Bucket, Sums, TooLarge};

/// The most keys that are held at once.
const MAX_KEYS: usize = 2_000_000;

/// Which sales are wanted.
pub(super) struct Wanted {
    pub(super) by: Dimension,
    /// Seconds since 1970, inclusive and exclusive.
    pub(super) from: i64,
    pub(super) to: i64,
    /// The last place of the log that counts.
    pub(super) position: Position,
    /// Only what had happened by then.
    pub(super) occurred: Option<Timestamp>,
}

/// Buckets by the quarter of an hour and key.
type Buckets = BTreeMap<(i64, String), Sums>;

/// What was sold, in the order of time and key.
pub(super) struct Sales {
    /// All together.
    pub(super) total: Vec<Bucket>,
    /// By key; empty unless keys are wanted.
    pub(super) keyed: Vec<Bucket>,
    pub(super) currency: Option<Currency>,
}

/// Why it cannot be told.
pub(super) enum Trouble {
    TooLarge,
    Past(PastError),
}

impl<E: Into<PastError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Past(error.into())
    }
}

impl From<TooLarge> for Trouble {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// Folds the log.
pub(super) async fn sales(store: &EventStore, wanted: &Wanted) -> Result<Sales, Trouble> {
    let filter = Filter {
        categories: vec![OrderEvent::CATEGORY.to_owned()],
        types: vec!["OrderPlaced".to_owned(), "OrderCancelled".to_owned()],
        stream: None,
    };
    let (mut total, mut keyed, mut currency) = (Buckets::new(), Buckets::new(), None);
    let mut from = Position::START;
    while from < wanted.position {
        let page = store.read_log(from, Direction::Forwards, &filter, MAX_PAGE).await?;
        for logged in page.events.iter().filter(|logged| logged.position <= wanted.position) {
            let decoded = logged.decode().map_err(|error| PastError::Unreadable {
                stream: logged.stream.clone(),
                revision: logged.revision,
                error: error.clone(),
            })?;
            if wanted.occurred.is_none_or(|by| decoded.metadata.occurred_at <= by) {
                wanted.add(&decoded.event, &mut total, &mut keyed, &mut currency)?;
            }
        }
        from = page.scanned_to;
        if page.at_end {
            break;
        }
    }
    Ok(Sales { total: buckets(total), keyed: buckets(keyed), currency })
}

impl Wanted {
    fn add(
        &self,
        event: &Event,
        total: &mut Buckets,
        keyed: &mut Buckets,
        currency: &mut Option<Currency>,
    ) -> Result<(), TooLarge> {
        for sold in sold(event).map_err(|_| TooLarge)? {
            currency.get_or_insert(sold.currency);
            let within = (self.from..self.to).contains(&sold.bucket);
            let into = match sold.dimension {
                Dimension::None => &mut *total,
                dimension if dimension == self.by => &mut *keyed,
                _ => continue,
            };
            if within {
                let sums = Sums { orders: sold.orders, units: sold.units, revenue: sold.revenue };
                into.entry((sold.bucket, sold.item.to_owned())).or_default().add(sums)?;
            }
        }
        if total.len() + keyed.len() > MAX_KEYS { Err(TooLarge) } else { Ok(()) }
    }
}

fn buckets(found: Buckets) -> Vec<Bucket> {
    let bucket = |((start, key), sums)| Bucket { start, key, sums };
    // What was taken back again leaves no row.
    found.into_iter().map(bucket).filter(|bucket| bucket.sums.orders != 0).collect()
}
