use std::time::Duration;

use event_schemas::{LogPosition, Position, StoreId};
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::{At, Fault, Faults, IDEMPOTENCY_KEY_MALFORMED, IDEMPOTENCY_KEY_MISSING, Problem};

/// `Request-Id`
pub static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// `Idempotency-Key`
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `Idempotency-Replayed`
pub static IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// `Daybook-Position`
pub static POSITION: HeaderName = HeaderName::from_static("daybook-position");
/// `Daybook-Actor`
pub static ACTOR: HeaderName = HeaderName::from_static("daybook-actor");
/// `Preference-Applied`
pub static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The longest wait that `Prefer: wait=N` may ask for, in seconds.
const MAX_WAIT: u64 = 30;

/// The key of a POST: 1 to 255 visible ASCII characters, a quoted string (RFC 9651, 3.3.3) or
/// bare, which are the same key.
///
/// # Errors
/// 400 `idempotency-key-missing` or `idempotency-key-malformed`.
pub fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let example = "for example Idempotency-Key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"";
    let problem = |kind, detail: String| {
        let at = At::Header("Idempotency-Key");
        Problem::new(kind, detail.clone()).errors([Fault { detail, at }])
    };
    let mut sent = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = sent.next() else {
        return Err(problem(
            &IDEMPOTENCY_KEY_MISSING,
            format!("Add the header Idempotency-Key with a value of your own, {example}"),
        ));
    };
    let key = value.to_str().ok().and_then(key_of);
    match key {
        Some(key) if sent.next().is_none() => Ok(key),
        _ => Err(problem(
            &IDEMPOTENCY_KEY_MALFORMED,
            format!("Send one Idempotency-Key of 1 to 255 visible ASCII characters, {example}"),
        )),
    }
}

fn key_of(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => {
            let mut key = String::with_capacity(rest.len());
            let mut chars = rest.chars();
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => key.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
                    c => key.push(c),
                }
            }
            if chars.next().is_some() {
                return None;
            }
            key
        }
    };
    let fits = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(key)
}

/// `Prefer: wait=N` (RFC 7240), 0 to 30 seconds. Other preferences are ignored, and of several
/// waits the first counts, as the standard says.
pub fn prefer_wait(headers: &HeaderMap, faults: &mut Faults) -> Option<Duration> {
    let values = headers.get_all(http::header::HeaderName::from_static("prefer"));
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    let wait = texts.flat_map(|text| text.split(',')).find_map(|preference| {
        let preference = preference.split(';').next().unwrap_or("");
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    })?;
    let digits = !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit());
    match wait.parse() {
        Ok(seconds @ 0..=MAX_WAIT) if digits => Some(Duration::from_secs(seconds)),
        _ => {
            faults.header(
                "Prefer",
                format!("wait={wait} cannot be done; ask for wait=0 to wait={MAX_WAIT}, seconds"),
            );
            None
        }
    }
}

/// The value of `Daybook-Position`: the store's id, a colon, the position in it.
pub fn position_header(at: &LogPosition) -> HeaderValue {
    use std::io::Write as _;
    let mut text = [0; 57];
    let mut rest = text.as_mut_slice();
    let _ = write!(rest, "{}:{}", at.store, at.position);
    let left = rest.len();
    let written = text.len() - left;
    HeaderValue::from_bytes(&text[..written]).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The `Daybook-Position` that an answer is to include, if one was sent. One of another store
/// than `store` is a fault.
pub fn wanted_position(
    headers: &HeaderMap,
    store: StoreId,
    faults: &mut Faults,
) -> Option<Position> {
    position_in(headers, "Daybook-Position", store, faults)
}

/// The place in the log that a header names, if it was sent. One of another store than `store` is
/// a fault.
pub fn position_in(
    headers: &HeaderMap,
    name: &'static str,
    store: StoreId,
    faults: &mut Faults,
) -> Option<Position> {
    let mut sent = headers.get_all(name).iter();
    let value = sent.next()?;
    let read = || {
        let (id, position) = value.to_str().ok()?.split_once(':')?;
        let digits = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
        let position = position.parse().ok().filter(|_| digits)?;
        Some((Uuid::try_parse(id).ok().filter(|_| id.len() == 36)?, position))
    };
    match read() {
        Some((id, position)) if sent.next().is_none() && id == store.0 => {
            return Some(Position(position));
        }
        Some((id, _)) if id != store.0 => faults.header(
            name,
            format!("is of the store {id}, but this is {store}; leave it out or use one of this store"),
        ),
        _ => faults.header(
            name,
            "cannot be read; send one as an answer gave it, STORE-UUID:POSITION, once, or leave it out",
        ),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_quoted_key_is_the_bare_key() {
        let key = |text: &str| idempotency_key(&headers("idempotency-key", &[text])).ok();
        assert_eq!(key("\"abc\""), key("abc"));
        assert_eq!(key(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        assert!(key(&"x".repeat(255)).is_some());
        let too_long = "x".repeat(256);
        for bad in
            ["", "\"\"", "\"abc", "\"a\"b", "a b", "\"a b\"", "caf\u{e9}", r#""\n""#, &too_long]
        {
            assert_eq!(key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_missing_or_doubled_key_shows_the_header() {
        let missing = idempotency_key(&HeaderMap::new()).unwrap_err();
        assert_eq!(missing.kind(), &IDEMPOTENCY_KEY_MISSING);
        assert!(missing.detail().contains("Idempotency-Key: \""));
        assert_eq!(missing.faults()[0].at, At::Header("Idempotency-Key"));
        let doubled = idempotency_key(&headers("idempotency-key", &["a", "b"])).unwrap_err();
        assert_eq!(doubled.kind(), &IDEMPOTENCY_KEY_MALFORMED);
    }

    #[test]
    fn waits_of_up_to_30_seconds() {
        let wait = |texts: &[&str]| {
            let mut faults = Faults::new();
            (prefer_wait(&headers("prefer", texts), &mut faults).map(|d| d.as_secs()), faults.len())
        };
        assert_eq!(wait(&[]), (None, 0));
        assert_eq!(wait(&["respond-async"]), (None, 0));
        assert_eq!(wait(&["wait=0"]), (Some(0), 0));
        assert_eq!(wait(&["respond-async, WAIT = \"30\"; x=y"]), (Some(30), 0));
        assert_eq!(wait(&["foo", "wait=7, wait=8"]), (Some(7), 0));
        for bad in ["wait=31", "wait=", "wait", "wait=-1", "wait=+1", "wait=1.5", "wait=soon"] {
            assert_eq!(wait(&[bad]), (None, 1), "{bad}");
        }
    }

    #[test]
    fn positions_come_back_as_they_went_out() {
        let store = StoreId(Uuid::from_u128(7));
        for position in [0, 1, u64::MAX] {
            let header = position_header(&LogPosition { store, position: Position(position) });
            let mut headers = HeaderMap::new();
            headers.insert(&POSITION, header);
            let mut faults = Faults::new();
            assert_eq!(wanted_position(&headers, store, &mut faults), Some(Position(position)));
            assert!(faults.is_empty());
        }
    }

    #[test]
    fn a_position_of_another_store_or_garbage_is_a_fault() {
        let store = StoreId(Uuid::from_u128(7));
        let id = store.to_string();
        let other = Uuid::from_u128(8).to_string();
        for (bad, word) in [
            (vec![format!("{other}:1")], other.as_str()),
            (vec![format!("{id}:-1")], "cannot be read"),
            (vec![format!("{id}:+1")], "cannot be read"),
            (vec![format!("{id}:")], "cannot be read"),
            (vec![format!("{id}:18446744073709551616")], "cannot be read"),
            (vec![id.clone()], "cannot be read"),
            (vec!["garbage".to_owned()], "cannot be read"),
            (vec![format!("{id}:1"), format!("{id}:1")], "cannot be read"),
        ] {
            let texts: Vec<&str> = bad.iter().map(String::as_str).collect();
            let mut faults = Faults::new();
            assert_eq!(
                wanted_position(&headers("daybook-position", &texts), store, &mut faults),
                None
            );
            assert!(faults.as_slice()[0].detail.contains(word), "{bad:?}");
        }
        assert_eq!(wanted_position(&HeaderMap::new(), store, &mut Faults::new()), None);
    }
}
