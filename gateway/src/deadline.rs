//! How long a call may go on.

use std::{future::pending, pin::Pin, sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{Gateway, failure::Failure};

/// A call under way: when it has to end, and its place among those that may be.
pub(crate) struct Call {
    ended: Pin<Box<dyn Future<Output = Failure> + Send>>,
    _permit: OwnedSemaphorePermit,
}

impl Call {
    /// Ends at `until`, and with the gateway.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        until: Option<Instant>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let ended = Box::pin(async move {
            tokio::select! {
                () = gateway.ending() => Failure::NotReady,
                failure = passed(until) => failure,
            }
        });
        Self { ended, _permit: permit }
    }

    /// Why the call has to end, once it has to; not to be asked again after that.
    pub(crate) async fn ended(&mut self) -> Failure {
        self.ended.as_mut().await
    }
}

async fn passed(until: Option<Instant>) -> Failure {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => pending().await,
    }
    Failure::Deadline
}

/// Work that is waited for until then; an append that is under way is not undone.
pub(crate) async fn by<T>(
    until: Option<Instant>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        failure = passed(until) => Err(failure),
    }
}

/// `grpc-timeout`: up to eight digits and a unit. What cannot be read sets no deadline.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Instant> {
    let time = parse(headers.get("grpc-timeout")?.to_str().ok()?)?;
    Instant::now().checked_add(time)
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let legal = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let amount: u64 = digits.parse().ok().filter(|_| legal)?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        for (text, millis) in [
            ("1H", 3_600_000),
            ("2M", 120_000),
            ("3S", 3_000),
            ("4m", 4),
            ("5000u", 5),
            ("6000000n", 6),
            ("99999999m", 99_999_999),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "S", "1", "1x", "+1S", "-1S", "100000000S", "1 S", "1é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
