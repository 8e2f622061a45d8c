use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderValue};
use uuid::Builder;

use super::{headers, is_id};

/// The id of a request: the caller's own if it is an id, else a new UUID.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Of a request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(&headers::REQUEST_ID);
        match sent.filter(|value| value.to_str().is_ok_and(is_id)) {
            Some(value) => Self(value.clone()),
            None => Self::new(),
        }
    }

    /// A new one. Unique, not secret: a counter that is mixed (splitmix64: Steele, Lea, Flood,
    /// "Fast Splittable Pseudorandom Number Generators", 2014) costs no system call.
    #[expect(clippy::new_without_default, reason = "each one is another")]
    pub fn new() -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let seed = *SEED.get_or_init(|| getrandom::u64().unwrap_or(0));
        let count = COUNT.fetch_add(2, Ordering::Relaxed);
        let half = |at: u64| mix(seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&half(count).to_be_bytes());
        bytes[8..].copy_from_slice(&half(count + 1).to_be_bytes());
        let mut text = [0; 36];
        Builder::from_random_bytes(bytes).as_uuid().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    pub(super) const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_id_stays_if_it_is_one() {
        let of = |sent: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(&headers::REQUEST_ID, HeaderValue::from_static(sent));
            RequestId::of(&headers).as_str().to_owned()
        };
        assert_eq!(of("my-request.1"), "my-request.1");
        for sent in ["", "a b", ".x", "x\"y"] {
            assert!(uuid::Uuid::parse_str(&of(sent)).is_ok());
        }
    }

    #[test]
    fn new_ids_differ() {
        let ids: std::collections::HashSet<_> =
            (0..1_000).map(|_| RequestId::new().as_str().to_owned()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
