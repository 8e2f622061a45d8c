use std::collections::HashMap;

use event_schemas::{Currency, MAX_AMOUNT, Position, Timestamp};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::intervals::{Interval, Span, containing};
use crate::answers::Money;

/// The most rows that a report has.
const MAX_ROWS: usize = 100_000;

/// The most keys that one interval has.
const MAX_KEYS: usize = 1_000_000;

/// Sums of sales. Revenue in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) orders: i64,
    pub(super) units: i64,
    pub(super) revenue: i64,
}

/// One row of the read model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// The beginning of a quarter of an hour, seconds since 1970.
    pub(super) start: i64,
    /// The department, brand, ...
    pub(super) key: String,
    pub(super) sums: Sums,
}

/// One row of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Seconds since 1970.
    pub(super) start: Option<i64>,
    pub(super) key: Option<String>,
    pub(super) sums: Sums,
}

/// What a report is asked to be.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// `None`: everything is one interval.
    pub(super) interval: Option<Interval>,
    pub(super) zone: TimeZone,
    /// Whether rows are told apart by a key; if not, intervals without sales have zeros.
    pub(super) keyed: bool,
    /// Seconds since 1970, inclusive.
    pub(super) from: i64,
    /// Seconds since 1970, exclusive.
    pub(super) to: i64,
    /// The best of each interval.
    pub(super) limit: Option<usize>,
}

/// The report has too many rows, or sums that do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Sums {
    pub(super) fn add(&mut self, other: Self) -> Result<(), TooLarge> {
        let sum = |a: i64, b: i64| {
            let fits = |sum: &i64| sum.abs() <= MAX_AMOUNT;
            a.checked_add(b).filter(fits).ok_or(TooLarge)
        };
        self.orders = sum(self.orders, other.orders)?;
        self.units = sum(self.units, other.units)?;
        self.revenue = sum(self.revenue, other.revenue)?;
        Ok(())
    }
}

/// A report in the making: buckets come in by time, lines go out.
#[derive(Debug)]
pub(super) struct Report {
    shape: Shape,
    lines: Vec<Line>,
    /// The interval at hand, and what it has so far.
    span: Option<Span>,
    sums: HashMap<String, Sums>,
}

impl Report {
    pub(super) fn new(shape: Shape) -> Self {
        let mut report = Self { shape, lines: Vec::new(), span: None, sums: HashMap::new() };
        if !report.shape.keyed {
            report.span = report.span_of(report.shape.from);
        }
        report
    }

    /// Adds a bucket; `start` never goes back.
    pub(super) fn add(&mut self, bucket: Bucket) -> Result<(), TooLarge> {
        self.go_to(bucket.start)?;
        self.sums.entry(bucket.key).or_default().add(bucket.sums)?;
        if self.sums.len() > MAX_KEYS { Err(TooLarge) } else { Ok(()) }
    }

    /// The lines, by interval, within it the greatest revenue first, ties by key.
    pub(super) fn finish(mut self) -> Result<Vec<Line>, TooLarge> {
        if !self.shape.keyed && self.shape.to > self.shape.from {
            self.go_to(self.shape.to - 1)?;
        }
        if self.shape.to > self.shape.from || self.shape.interval.is_none() {
            self.close()?;
        }
        Ok(self.lines)
    }

    fn span_of(&self, second: i64) -> Option<Span> {
        match self.shape.interval {
            Some(interval) => containing(interval, &self.shape.zone, second),
            None => Some(Span { start: i64::MIN, end: i64::MAX }),
        }
    }

    /// Closes what ends before `second`. Without keys every interval on the way is a line.
    fn go_to(&mut self, second: i64) -> Result<(), TooLarge> {
        loop {
            match self.span {
                Some(span) if second < span.end => return Ok(()),
                Some(span) => {
                    self.close()?;
                    let next = if self.shape.keyed { second } else { span.end };
                    self.span = Some(self.span_of(next).ok_or(TooLarge)?);
                }
                None => self.span = Some(self.span_of(second).ok_or(TooLarge)?),
            }
        }
    }

    fn close(&mut self) -> Result<(), TooLarge> {
        let start = self.span.filter(|_| self.shape.interval.is_some()).map(|span| span.start);
        if !self.shape.keyed {
            let sums = self.sums.drain().next().map(|(_, sums)| sums).unwrap_or_default();
            self.lines.push(Line { start, key: None, sums });
        } else {
            let mut best: Vec<_> = self.sums.drain().collect();
            best.sort_unstable_by(|(a, x), (b, y)| y.revenue.cmp(&x.revenue).then(a.cmp(b)));
            best.truncate(self.shape.limit.unwrap_or(usize::MAX));
            if self.lines.len() + best.len() > MAX_ROWS {
                return Err(TooLarge);
            }
            let line = |(key, sums)| Line { start, key: Some(key), sums };
            self.lines.extend(best.into_iter().map(line));
        }
        if self.lines.len() > MAX_ROWS { Err(TooLarge) } else { Ok(()) }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    items: Vec<Item<'a>>,
    total: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
}

/// The moment of a report of the past.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct AsOf {
    /// The last place of the log that counts.
    pub(super) position: Position,
    /// How many events up to there were recorded earlier than one before them.
    pub(super) clocks_ran_back: u64,
}

#[derive(Serialize)]
struct Item<'a> {
    start: Option<Timestamp>,
    key: Option<&'a str>,
    #[serde(flatten)]
    sums: Total,
}

#[derive(Serialize)]
struct Total {
    orders: i64,
    units: i64,
    revenue: Money,
}

/// The report as it goes out.
pub(super) fn document(
    lines: &[Line],
    total: Sums,
    currency: Currency,
    as_of: Option<AsOf>,
) -> Result<Vec<u8>, serde_json::Error> {
    let sums = |sums: Sums| Total {
        orders: sums.orders,
        units: sums.units,
        revenue: currency.money(sums.revenue).into(),
    };
    let micros = |second: i64| Timestamp::saturating(second.saturating_mul(1_000_000));
    let items = lines.iter().map(|line| Item {
        start: line.start.map(micros),
        key: line.key.as_deref(),
        sums: sums(line.sums),
    });
    let items = items.collect();
    serde_json::to_vec(&Document { items, total: sums(total), as_of })
}
