//! Reports against a computation of their own: every quarter of an hour is named by its local
//! date and time, and what has one name belongs together.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::{
    intervals::Interval,
    sums::{Bucket, Line, Report, Shape, Sums, TooLarge},
};

const QUARTER: i64 = 900;

/// A name that all moments of an interval share and its neighbours have not.
fn name(interval: Option<Interval>, zone: &TimeZone, second: i64) -> String {
    let local = Timestamp::from_second(second).unwrap().to_zoned(zone.clone());
    let format = match interval {
        None => "",
        Some(Interval::Hour) => "%Y-%m-%d %H %z",
        Some(Interval::Day) => "%Y-%m-%d",
        Some(Interval::Week) => "%G-%V",
        Some(Interval::Month) => "%Y-%m",
    };
    local.strftime(format).to_string()
}

/// The first quarter of an hour of the interval that has this one.
fn beginning(interval: Option<Interval>, zone: &TimeZone, mut second: i64) -> Option<i64> {
    interval?;
    let wanted = name(interval, zone, second);
    while name(interval, zone, second - QUARTER) == wanted {
        second -= QUARTER;
    }
    Some(second)
}

fn naive(shape: &Shape, buckets: &[Bucket]) -> Vec<Line> {
    let mut intervals: Vec<(String, i64, BTreeMap<String, Sums>)> = Vec::new();
    let mut second = shape.from;
    while second < shape.to {
        let name = name(shape.interval, &shape.zone, second);
        if intervals.last().is_none_or(|(last, _, _)| *last != name) {
            intervals.push((name, second, BTreeMap::new()));
        }
        let sums = &mut intervals.last_mut().unwrap().2;
        for bucket in buckets.iter().filter(|bucket| bucket.start == second) {
            let sum = sums.entry(bucket.key.clone()).or_default();
            sum.orders += bucket.sums.orders;
            sum.units += bucket.sums.units;
            sum.revenue += bucket.sums.revenue;
        }
        second += QUARTER;
    }
    let mut lines = Vec::new();
    for (_, first, sums) in intervals {
        let start = beginning(shape.interval, &shape.zone, first);
        if !shape.keyed {
            let sums = sums.into_values().next().unwrap_or_default();
            lines.push(Line { start, key: None, sums });
            continue;
        }
        let mut best: Vec<_> = sums.into_iter().collect();
        best.sort_by_key(|(key, sums)| (-sums.revenue, key.clone()));
        best.truncate(shape.limit.unwrap_or(best.len()));
        lines.extend(best.into_iter().map(|(key, sums)| Line { start, key: Some(key), sums }));
    }
    lines
}

fn report(shape: Shape, buckets: &[Bucket]) -> Result<Vec<Line>, TooLarge> {
    let mut report = Report::new(shape);
    buckets.iter().try_for_each(|bucket| report.add(bucket.clone()))?;
    report.finish()
}

/// A range of up to some weeks around a day on which clocks change, in quarters of an hour.
fn shapes() -> impl Strategy<Value = Shape> {
    let changes = prop::sample::select(vec![
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Asia/Kathmandu", "2026-06-30T18:15:00Z"),
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        ("America/Havana", "2026-11-01T05:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("UTC", "2027-01-01T00:00:00Z"),
    ]);
    let intervals = prop::sample::select(vec![
        None,
        Some(Interval::Hour),
        Some(Interval::Day),
        Some(Interval::Week),
        Some(Interval::Month),
    ]);
    let limit = prop::option::of(1..3_usize);
    (changes, intervals, any::<bool>(), 0..1_200_i64, 1..1_200_i64, limit).prop_map(
        |((zone, change), interval, keyed, before, after, limit)| {
            let change = change.parse::<Timestamp>().unwrap().as_second();
            let zone = TimeZone::get(zone).unwrap();
            let (from, to) = (change - before * QUARTER, change + after * QUARTER);
            Shape { interval, zone, keyed, from, to, limit }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_report_is_what_counting_gives(
        shape in shapes(),
        rows in prop::collection::btree_map((0..2_400_i64, 0..4_usize), (1..5_i64, 0..9_i64, -5..5_i64), 0..60),
    ) {
        let mut buckets: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        for ((quarter, key), (orders, units, revenue)) in rows {
            let start = shape.from + quarter * QUARTER;
            let key = if shape.keyed { key.to_string() } else { String::new() };
            if start < shape.to {
                buckets.insert((start, key), Sums { orders, units, revenue });
            }
        }
        let buckets: Vec<_> = buckets
            .into_iter()
            .map(|((start, key), sums)| Bucket { start, key, sums })
            .collect();
        prop_assert_eq!(report(shape.clone(), &buckets).unwrap(), naive(&shape, &buckets));
    }
}

#[test]
fn a_report_ends_at_its_limits() {
    let zone = TimeZone::UTC;
    let sums = Sums { orders: 1, units: 1, revenue: 1 };
    let shape = Shape {
        interval: Some(Interval::Hour),
        zone,
        keyed: false,
        from: 0,
        to: 100_000 * 3_600,
        limit: None,
    };
    assert_eq!(report(shape.clone(), &[]).unwrap().len(), 100_000);
    let longer = Shape { to: shape.to + QUARTER, ..shape.clone() };
    assert_eq!(report(longer, &[]), Err(TooLarge));
    let keyed = Shape { keyed: true, interval: None, ..shape };
    let buckets: Vec<_> =
        (0..100_001).map(|at| Bucket { start: 0, key: at.to_string(), sums }).collect();
    assert_eq!(report(keyed.clone(), &buckets[..100_000]).unwrap().len(), 100_000);
    assert_eq!(report(keyed.clone(), &buckets), Err(TooLarge));
    assert_eq!(report(Shape { limit: Some(2), ..keyed.clone() }, &buckets).unwrap().len(), 2);
    let most = Sums { revenue: event_schemas::MAX_AMOUNT, ..sums };
    let over = [0, 900].map(|start| Bucket { start, key: String::new(), sums: most });
    assert_eq!(report(keyed, &over), Err(TooLarge));
}
