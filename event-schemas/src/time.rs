use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec::Text;

/// A moment: microseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC with six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is no RFC 3339 date and time with an offset and at most six fractional digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-11-21T09:15:00.123456Z (at most six digits)")]
pub struct InvalidTimestamp(pub String);

impl Timestamp {
    /// From microseconds since the epoch; `None` outside the years -9999 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        jiff::Timestamp::from_microsecond(micros).ok().map(|_| Self(micros))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Micros that a caller has already checked, or that come from a clock of this era.
    pub fn saturating(micros: i64) -> Self {
        Self::from_micros(micros).unwrap_or(if micros < 0 {
            Self(jiff::Timestamp::MIN.as_microsecond())
        } else {
            Self(jiff::Timestamp::MAX.as_microsecond())
        })
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Days to civil date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let (days, micros) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// RFC 3339 in any offset. More than six digits of a second are refused, not rounded, and so
    /// is the leap second `:60`, which no clock of ours can hold.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Some(time) = our_own(text.as_bytes()) {
            return Ok(time);
        }
        let invalid = || InvalidTimestamp(text.to_owned());
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| {
            bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
        };
        let shape = digits(0..4)
            && bytes.get(4) == Some(&b'-')
            && digits(5..7)
            && bytes.get(7) == Some(&b'-')
            && digits(8..10)
            && matches!(bytes.get(10), Some(b'T' | b't'))
            && digits(11..13)
            && bytes.get(13) == Some(&b':')
            && digits(14..16)
            && bytes.get(16) == Some(&b':')
            && digits(17..19)
            && &bytes[17..19] != b"60";
        if !shape {
            return Err(invalid());
        }
        let mut rest = &bytes[19..];
        if rest.first() == Some(&b'.') {
            let count = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
            if count == 0 || count > 6 {
                return Err(invalid());
            }
            rest = &rest[1 + count..];
        }
        let offset = matches!(rest, [b'Z' | b'z'])
            || (rest.len() == 6
                && matches!(rest[0], b'+' | b'-')
                && rest[3] == b':'
                && [1, 2, 4, 5].iter().all(|&at| rest[at].is_ascii_digit()));
        if !offset {
            return Err(invalid());
        }
        text.parse::<jiff::Timestamp>().map(Self::from).map_err(|_| invalid())
    }
}

/// A time as we write it ourselves, `2026-11-21T09:15:00.123456Z`: every event has two.
fn our_own(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let shape = b"0000-00-00T00:00:00.000000Z";
    let fits = text.iter().zip(shape).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        fixed => byte == fixed,
    });
    if !fits {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        text[range].iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'))
    };
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (hour, minute, second) = (number(11..13), number(14..16), number(17..19));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Civil date to days after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    let day_number = era * 146_097 + doe - 719_468;
    let seconds = ((day_number * 24 + hour) * 60 + minute) * 60 + second;
    Timestamp::from_micros(seconds * 1_000_000 + number(20..26))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in [
            "1970-01-01T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "2000-02-29T12:00:00.000001Z",
            "2026-11-21T09:15:00.123456Z",
            "9999-12-30T22:00:00.000000Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn reads_its_own_form_as_the_library_does() {
        for step in 0..200_000_i64 {
            let micros = -62_167_219_200_000_000 + step * 1_577_847_600_123_457;
            let Some(time) = Timestamp::from_micros(micros) else { break };
            let text = time.to_string();
            assert_eq!(our_own(text.as_bytes()), Some(time), "{text}");
            assert_eq!(text.parse::<jiff::Timestamp>().map(Timestamp::from).ok(), Some(time));
        }
        for text in ["2026-02-29T00:00:00.000000Z", "1900-02-29T00:00:00.000000Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_any_offset() {
        let utc: Timestamp = "2026-11-21T09:15:00Z".parse().unwrap();
        assert_eq!("2026-11-21T10:45:00.0+01:30".parse(), Ok(utc));
        assert_eq!("2026-11-20t23:15:00-10:00".parse(), Ok(utc));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T09:15:00",
            "2026-11-21 09:15:00Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-11-21T09:15:00.1234567Z",
            "2026-11-21T09:15:00.Z",
            "2026-11-21T09:15Z",
            "2026-11-21T09:15:00Z[UTC]",
            "2026-11-21T09:15:00+0100",
            "+002026-11-21T09:15:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp(text.to_owned())), "{text}");
        }
    }
}
