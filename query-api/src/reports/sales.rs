use axum::{extract::State, response::Response};
use event_schemas::{Currency, Position, Timestamp};
use history::{Clock, PastError};
use infra::{
    http::{BAD_REQUEST, Faults, Problem, ProblemKind},
    read_models::{ReadModelError, Snapshot},
};
use jiff::{civil::Date, tz::TimeZone};
use projections::sales::{BUCKET, Dimension};

use super::{
    as_of::{self, Trouble},
    buckets::Buckets,
    intervals::{Interval, start_of},
    sums::{AsOf, Report, Shape, Sums, TooLarge, document},
};
use crate::{
    QueryState,
    answers::SalesReport,
    ask::Ask,
    events::asked::CLOCKS,
    posted::{Posted, reached, snapshot, unreadable, unreadable_log},
};

/// `report-too-large`: too many rows, or sums that do not fit.
pub static REPORT_TOO_LARGE: ProblemKind = ProblemKind {
    name: "report-too-large",
    status: 400,
    title: "The report is too large",
    explanation: "A report has at most 100,000 rows, and each of its sums fits into 2^53-1. Ask for a longer interval, a shorter range, another `by`, or a `limit`.",
};

const INTERVALS: &[(&str, Option<Interval>)] = &[
    ("hour", Some(Interval::Hour)),
    ("day", Some(Interval::Day)),
    ("week", Some(Interval::Week)),
    ("month", Some(Interval::Month)),
    ("none", None),
];

const DIMENSIONS: &[(&str, Dimension)] = &[
    ("none", Dimension::None),
    ("department", Dimension::Department),
    ("brand", Dimension::Brand),
    ("channel", Dimension::Channel),
    ("sku", Dimension::Sku),
    ("customer", Dimension::Customer),
];

/// Sales
///
/// Sums of orders by `placed_at`. An order counts once under each key that it touches; a cancelled
/// order counts nowhere. Rows come by interval, within it the greatest revenue first, ties by key.
/// `start` is the beginning of the whole interval, also where `from` cuts it. A day has 23 or 25
/// hours where clocks change, an hour that occurs twice is two rows. `total` covers everything,
/// also what `limit` cut.
#[utoipa::path(
    get, path = "/v1/reports/sales", tag = "reports", operation_id = "report_sales",
    params(
        ("from" = String, Query, description = "Inclusive: a date, or an RFC 3339 time on a quarter of an hour", example = "2026-11-01"),
        ("to" = String, Query, description = "Exclusive: a date, or an RFC 3339 time on a quarter of an hour", example = "2026-12-01"),
        ("interval" = Option<String>, Query, description = "hour, day, week (from Monday), month or none; none unless given", example = "day"),
        ("by" = Option<String>, Query, description = "none, department, brand, channel, sku or customer; none unless given", example = "department"),
        ("tz" = Option<String>, Query, description = "The IANA time zone of dates and intervals; UTC unless given", example = "America/New_York"),
        ("as_of" = Option<String>, Query, format = "date-time", description = "The report as it would have been read then"),
        ("clock" = Option<String>, Query, description = "What `as_of` is of: `recorded` (unless given), what was known then, or `occurred`, what had happened then as known now"),
        ("limit" = Option<u32>, Query, description = "Only the best so many of each interval, by revenue", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "The report", body = SalesReport))
)]
pub(crate) async fn sales(
    State(state): State<QueryState>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    let as_of = moment_of(&mut ask);
    let read = read(&mut ask);
    let asked = ask.finish()?;
    let Some((shape, by)) = read else {
        return Err(Problem::internal("parameters without a fault were not read"));
    };
    if let Some((time, clock)) = as_of {
        let head = reached(&state, &asked).await?;
        let report = report_as_of(&state, shape, by, time, clock, head).await;
        return Ok(Posted::at(&state, head, &asked).json(report?));
    }
    let (mut snapshot, posted) = snapshot(&state, &state.sales, &asked).await?;
    let report = report(&mut snapshot, shape, by, state.currency).await;
    Ok(posted.json(report?))
}

/// The moment, and which clock it is of.
fn moment_of(ask: &mut Ask) -> Option<(Timestamp, Clock)> {
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let time = query.time("as_of", faults);
    let clock = query.choice("clock", &CLOCKS, faults);
    if time.is_none() && clock.is_some() {
        faults.parameter("clock", "is of as_of; leave it out, or say as_of too");
    }
    time.map(|time| (time, clock.unwrap_or_default()))
}

/// The report as it would have been read then, or (by the clock of what happened) as it is now of
/// what had happened then.
async fn report_as_of(
    state: &QueryState,
    shape: Shape,
    by: Dimension,
    time: Timestamp,
    clock: Clock,
    head: Position,
) -> Result<Vec<u8>, Problem> {
    let now = Timestamp::from(jiff::Timestamp::now());
    let place = state.past.place_at(time, now).await.map_err(|error| not_told(&error))?;
    let (position, occurred) = match clock {
        Clock::Recorded => (place.position, None),
        Clock::Occurred => (head, Some(time)),
    };
    let wanted = as_of::Wanted { by, from: shape.from, to: shape.to, position, occurred };
    let sales = as_of::sales(&state.store, &wanted).await.map_err(|trouble| match trouble {
        Trouble::TooLarge => too_large(),
        Trouble::Past(error) => not_told(&error),
    })?;
    let too_large = |TooLarge| too_large();
    let mut total = Sums::default();
    sales.total.iter().try_for_each(|bucket| total.add(bucket.sums)).map_err(too_large)?;
    let buckets = if by == Dimension::None { sales.total } else { sales.keyed };
    let mut report = Report::new(shape);
    buckets.into_iter().try_for_each(|bucket| report.add(bucket)).map_err(too_large)?;
    let lines = report.finish().map_err(too_large)?;
    let ran_back = if clock == Clock::Recorded { place.ran_back } else { 0 };
    let made = Some(AsOf { position, clocks_ran_back: ran_back });
    let currency = sales.currency.unwrap_or(state.currency);
    document(&lines, total, currency, made).map_err(Problem::internal)
}

fn not_told(error: &PastError) -> Problem {
    match error {
        PastError::Store(error) => unreadable_log(error),
        PastError::Future { .. } => {
            let mut faults = Faults::new();
            faults.parameter("as_of", error.to_string());
            faults.into_problem(&BAD_REQUEST)
        }
        other => Problem::internal(other),
    }
}

fn read(ask: &mut Ask) -> Option<(Shape, Dimension)> {
    let (query, faults) = (&mut ask.query, &mut ask.faults);
    let interval = query.choice("interval", INTERVALS, faults).flatten();
    let by = query.choice("by", DIMENSIONS, faults).unwrap_or(Dimension::None);
    let limit = query.integer("limit", 1..=1_000, faults);
    let zone = match query.take("tz", faults) {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(&name).ok().filter(|_| !name.is_empty()).unwrap_or_else(|| {
            faults.parameter("tz", format!("{name:?} is no IANA time zone such as Europe/Berlin"));
            TimeZone::UTC
        }),
    };
    let (from, to) = (query.take("from", faults), query.take("to", faults));
    let from = moment("from", from, &zone, faults);
    let to = moment("to", to, &zone, faults);
    let (from, to) = (from?, to?);
    if to < from {
        faults.parameter("to", "to is before from; swap them");
    }
    let keyed = by != Dimension::None;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    Some((Shape { interval, zone, keyed, from, to, limit }, by))
}

/// A moment on a quarter of an hour, seconds since 1970: a date is its midnight in the zone.
fn moment(
    name: &'static str,
    text: Option<String>,
    zone: &TimeZone,
    faults: &mut Faults,
) -> Option<i64> {
    let Some(text) = text else {
        faults.parameter(name, format!("{name} is missing; send a date such as 2026-11-01"));
        return None;
    };
    let date = Some(text.as_str()).filter(|text| text.len() == 10).and_then(|text| {
        text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-').then_some(text)
    });
    let micros = match date {
        Some(date) => date
            .parse::<Date>()
            .ok()
            .and_then(|date| start_of(date, zone))
            .map(|second| second.saturating_mul(1_000_000)),
        None => {
            // A plus sign that was not encoded arrives as a space.
            let time = text.parse().or_else(|_| text.replace(' ', "+").parse::<Timestamp>());
            time.ok().map(Timestamp::as_micros)
        }
    };
    let Some(micros) = micros else {
        faults.parameter(
            name,
            format!("{text:?} is neither a date such as 2026-11-01 nor an RFC 3339 time such as 2026-11-01T09:15:00Z"),
        );
        return None;
    };
    if micros.rem_euclid(BUCKET * 1_000_000) != 0 {
        faults.parameter(
            name,
            format!("{text:?} does not lie on a quarter of an hour; sales are kept by the quarter of an hour"),
        );
        return None;
    }
    Some(micros.div_euclid(1_000_000))
}

async fn report(
    snapshot: &mut Snapshot,
    shape: Shape,
    by: Dimension,
    unless_known: Currency,
) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: ReadModelError| unreadable(&error);
    let too_large = |TooLarge| too_large();
    let currency = currency(snapshot).await.map_err(unreadable)?.unwrap_or(unless_known);
    let (from, to) = (shape.from, shape.to);
    let mut report = Report::new(shape);
    let mut total = Sums::default();
    let mut buckets = Buckets::new(Dimension::None, from, to);
    while let Some(page) = buckets.next(snapshot).await.map_err(unreadable)? {
        for bucket in page {
            total.add(bucket.sums).map_err(too_large)?;
            if by == Dimension::None {
                report.add(bucket).map_err(too_large)?;
            }
        }
    }
    if by != Dimension::None {
        let mut buckets = Buckets::new(by, from, to);
        while let Some(page) = buckets.next(snapshot).await.map_err(unreadable)? {
            page.into_iter().try_for_each(|bucket| report.add(bucket)).map_err(too_large)?;
        }
    }
    let lines = report.finish().map_err(too_large)?;
    document(&lines, total, currency, None).map_err(Problem::internal)
}

/// The currency of the sales; a shop has one.
async fn currency(snapshot: &mut Snapshot) -> Result<Option<Currency>, ReadModelError> {
    let mut rows = snapshot.query("SELECT currency FROM sales LIMIT 1", &[]).await?;
    let code = rows.first_mut().map(|row| row.text(0)).transpose()?;
    Ok(code.and_then(|code| code.parse().ok()))
}

fn too_large() -> Problem {
    let mut faults = Faults::new();
    faults.parameter(
        "interval",
        "gives more than 100,000 rows or sums beyond 2^53-1; ask for a longer interval, a shorter range, another by, or a limit",
    );
    faults.into_problem(&REPORT_TOO_LARGE)
}
