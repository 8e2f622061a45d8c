//! Calendar intervals of a time zone, as spans of absolute time. Spans of one kind follow each
//! other without gap or overlap: a day lasts from its first midnight to the next day's, however
//! many hours that is, and an hour that occurs twice is two spans.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Weekday},
    tz::TimeZone,
};

/// What a report is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interval {
    Hour,
    Day,
    /// From Monday.
    Week,
    Month,
}

/// From `start` (inclusive) to `end` (exclusive), seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The interval that has this moment, seconds since 1970; `None` outside of the years -9999 to
/// 9999.
pub(super) fn containing(interval: Interval, zone: &TimeZone, second: i64) -> Option<Span> {
    let moment = Timestamp::from_second(second).ok()?;
    let date = moment.to_zoned(zone.clone()).date();
    match interval {
        Interval::Hour => Some(hour(zone, moment)),
        Interval::Day => dates(zone, second, date, |date, by| date.checked_add(by.days()).ok()),
        Interval::Week => {
            let since_monday = date.weekday().since(Weekday::Monday);
            let monday = date.checked_sub(i32::from(since_monday).days()).ok()?;
            dates(zone, second, monday, |date, by| date.checked_add(by.weeks()).ok())
        }
        Interval::Month => dates(zone, second, date.first_of_month(), |date, by| {
            date.checked_add(by.months()).ok()
        }),
    }
}

/// The first moment of a date, seconds since 1970. Of a date that a zone left out: of the next.
pub(super) fn start_of(date: Date, zone: &TimeZone) -> Option<i64> {
    let noon = date.at(12, 0, 0, 0).to_zoned(zone.clone()).ok()?;
    Some(noon.start_of_day().ok()?.timestamp().as_second())
}

/// The span that begins with `date`, or its neighbour: where clocks are set back over midnight, a
/// moment's date may be that of the day before the one whose first midnight has passed.
fn dates(
    zone: &TimeZone,
    second: i64,
    date: Date,
    step: impl Fn(Date, i32) -> Option<Date>,
) -> Option<Span> {
    for by in [0, 1, -1] {
        let start = start_of(step(date, by)?, zone)?;
        let end = start_of(step(date, by + 1)?, zone)?;
        if (start..end).contains(&second) {
            return Some(Span { start, end });
        }
    }
    None
}

/// The full hour of local time, cut where the zone's offset changes within it.
fn hour(zone: &TimeZone, moment: Timestamp) -> Span {
    let second = moment.as_second();
    let offset = |at: Timestamp| i64::from(zone.to_offset(at).seconds());
    let now = offset(moment);
    let start = second - (second + now).rem_euclid(3_600);
    let mut span = Span { start, end: start + 3_600 };
    let changes = |at: i64| {
        let before = Timestamp::from_second(at - 1);
        let after = Timestamp::from_second(at);
        before.is_ok_and(|before| after.is_ok_and(|after| offset(before) != offset(after)))
    };
    let end_of_second = moment.checked_add(1.second()).unwrap_or(moment);
    for transition in zone.preceding(end_of_second) {
        let at = transition.timestamp().as_second();
        if at <= span.start {
            break;
        }
        if changes(at) {
            span.start = at;
            break;
        }
    }
    for transition in zone.following(moment) {
        let at = transition.timestamp().as_second();
        if at >= span.end {
            break;
        }
        if changes(at) {
            span.end = at;
            break;
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn second(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn hours(span: Span) -> f64 {
        let seconds = u32::try_from(span.end - span.start).unwrap();
        f64::from(seconds) / 3_600.0
    }

    fn at(interval: Interval, name: &str, moment: &str) -> Span {
        let span = containing(interval, &zone(name), second(moment)).unwrap();
        assert!((span.start..span.end).contains(&second(moment)));
        span
    }

    #[test]
    fn a_day_of_23_and_one_of_25_hours() {
        for (name, spring, autumn, shift) in [
            ("America/New_York", "2026-03-08T12:00:00Z", "2026-11-01T12:00:00Z", 1.0),
            ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-10-25T12:00:00Z", 1.0),
            ("Australia/Lord_Howe", "2026-10-03T20:00:00Z", "2026-04-04T20:00:00Z", 0.5),
        ] {
            assert!((hours(at(Interval::Day, name, spring)) - 24.0 + shift).abs() < 1e-9, "{name}");
            assert!((hours(at(Interval::Day, name, autumn)) - 24.0 - shift).abs() < 1e-9, "{name}");
        }
        let katmandu = at(Interval::Day, "Asia/Kathmandu", "2026-11-21T12:00:00Z");
        assert_eq!(katmandu.start, second("2026-11-20T18:15:00Z"));
    }

    #[test]
    fn an_hour_that_occurs_twice_is_two() {
        let first = at(Interval::Hour, "America/New_York", "2026-11-01T05:30:00Z");
        let again = at(Interval::Hour, "America/New_York", "2026-11-01T06:30:00Z");
        assert_eq!(first.end, again.start);
        assert_eq!((hours(first), hours(again)), (1.0, 1.0));
    }

    #[test]
    fn half_an_hour_that_occurs_twice_and_one_that_never_does() {
        // 02:00 +11 is 01:30 +10:30.
        let first = at(Interval::Hour, "Australia/Lord_Howe", "2026-04-04T14:45:00Z");
        let again = at(Interval::Hour, "Australia/Lord_Howe", "2026-04-04T15:15:00Z");
        assert_eq!(first, Span { start: second("2026-04-04T14:00:00Z"), end: again.start });
        assert_eq!(again.end, second("2026-04-04T15:30:00Z"));
        // 02:00 +10:30 is 02:30 +11.
        let short = at(Interval::Hour, "Australia/Lord_Howe", "2026-10-03T15:45:00Z");
        assert_eq!(hours(short), 0.5);
        assert_eq!(short.start, second("2026-10-03T15:30:00Z"));
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let week = at(Interval::Week, "Europe/Berlin", "2026-11-01T12:00:00Z");
        assert_eq!(week.start, second("2026-10-25T23:00:00Z"));
        assert_eq!(week.end, second("2026-11-01T23:00:00Z"));
        let week = at(Interval::Week, "Europe/Berlin", "2026-10-20T12:00:00Z");
        assert_eq!(hours(week), 169.0);
        let month = at(Interval::Month, "America/New_York", "2026-11-01T04:00:00Z");
        assert_eq!(hours(month), 30.0 * 24.0 + 1.0);
    }

    #[test]
    fn midnights_that_do_not_exist_or_exist_twice() {
        // Clocks went from 00:00 to 01:00.
        let day = at(Interval::Day, "America/Sao_Paulo", "2018-11-04T12:00:00Z");
        assert_eq!((day.start, hours(day)), (second("2018-11-04T03:00:00Z"), 23.0));
        // From 01:00 back to 00:00.
        let day = at(Interval::Day, "America/Havana", "2026-11-01T12:00:00Z");
        assert_eq!((day.start, hours(day)), (second("2026-11-01T04:00:00Z"), 25.0));
        // From 00:01 back to 23:01 of the day before.
        let day = at(Interval::Day, "America/St_Johns", "2010-11-07T02:45:00Z");
        assert_eq!(day.start, second("2010-11-07T02:30:00Z"));
        // A day that was left out.
        let day = at(Interval::Day, "Pacific/Apia", "2011-12-30T09:59:59Z");
        assert_eq!(day.end, second("2011-12-30T10:00:00Z"));
        assert_eq!(at(Interval::Day, "Pacific/Apia", "2011-12-30T10:00:00Z").start, day.end);
    }

    #[test]
    fn spans_follow_each_other() {
        for name in
            ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]
        {
            for interval in [Interval::Hour, Interval::Day, Interval::Week, Interval::Month] {
                let mut span = at(interval, name, "2026-01-01T00:00:00Z");
                let end = second("2027-01-15T00:00:00Z");
                while span.end < end {
                    let next = containing(interval, &zone(name), span.end).unwrap();
                    assert_eq!(next.start, span.end, "{name} {interval:?}");
                    let last = containing(interval, &zone(name), span.end - 1).unwrap();
                    assert_eq!(last, span, "{name} {interval:?}");
                    span = next;
                }
            }
        }
    }
}
