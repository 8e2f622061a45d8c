//! The load itself: a number of clients, each with one connection and one request at a time, in
//! closed loop, on a schedule, or all at once.
//!
//! Latency is counted from the moment at which a request was meant to be sent, so that a server
//! that stalls cannot hide the requests that would have come meanwhile (coordinated omission).

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::Full;
use tokio::{
    task::{JoinSet, LocalSet},
    time::Instant,
};

use super::client::{Answer, Connection, Lost, Target};
use crate::failure::Failure;

/// How the requests come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Each client goes on as soon as it is answered, for a time.
    Closed(Duration),
    /// So many a second on a fixed schedule, for a time.
    Rate(f64, Duration),
    /// So many, all meant for the very same moment.
    AtOnce(u64),
}

/// What a load run showed.
#[derive(Debug)]
pub(crate) struct Measured {
    /// From intended start to the answer's last byte, in microseconds; lost requests included.
    pub(crate) latency: Histogram<u64>,
    /// Answers by kind, lost requests too.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// From the first intended start to the last answer.
    pub(crate) elapsed: Duration,
}

impl Measured {
    pub(crate) fn new() -> Self {
        Self { latency: histogram(), kinds: BTreeMap::new(), elapsed: Duration::ZERO }
    }

    /// Adds another run.
    pub(crate) fn merge(&mut self, other: Self) {
        self.latency += other.latency;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.elapsed += other.elapsed;
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
        let count = self.latency.len() as f64;
        count / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

/// Microseconds up to two minutes, three digits exact.
#[expect(clippy::expect_used, reason = "the bounds are constant and within what is allowed")]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("1 < 120,000,000 and 3 digits")
}

/// Counts a duration.
pub(crate) fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// Runs a load. `request` makes the n-th request, `answered` is told of each result.
pub(crate) async fn run<R, A>(
    target: &Target,
    clients: u32,
    plan: Plan,
    request: R,
    answered: A,
) -> Result<Measured, Failure>
where
    R: Fn(u64) -> Request<Full<Bytes>> + 'static,
    A: FnMut(u64, Result<Answer, Lost>, Instant) -> String + 'static,
{
    let mut connections = Vec::new();
    for n in 0..clients {
        connections.push(Connection::open(target).await.map_err(|_| {
            Failure::failed(format!("connection {n} of {clients} could not be made; is the server up, and is ulimit -n high enough?"))
        })?);
    }
    let shared = Rc::new(Shared {
        start: Instant::now(),
        plan,
        next: Cell::new(0),
        measured: RefCell::new(Measured::new()),
        request,
        answered: RefCell::new(answered),
    });
    LocalSet::new()
        .run_until(async {
            let mut running = JoinSet::new();
            for connection in connections {
                running.spawn_local(client(Rc::clone(&shared), connection));
            }
            running.join_all().await;
        })
        .await;
    let mut measured = shared.measured.replace(Measured::new());
    measured.elapsed = shared.start.elapsed();
    Ok(measured)
}

struct Shared<R, A> {
    start: Instant,
    plan: Plan,
    next: Cell<u64>,
    measured: RefCell<Measured>,
    request: R,
    answered: RefCell<A>,
}

async fn client<R, A>(shared: Rc<Shared<R, A>>, mut connection: Connection)
where
    R: Fn(u64) -> Request<Full<Bytes>>,
    A: FnMut(u64, Result<Answer, Lost>, Instant) -> String,
{
    loop {
        let n = shared.next.get();
        let Some(intended) = intended(shared.plan, shared.start, n) else { return };
        shared.next.set(n + 1);
        let request = (shared.request)(n);
        if intended > Instant::now() {
            tokio::time::sleep_until(intended).await;
        }
        let result = connection.send(request).await;
        let received = Instant::now();
        let kind = (shared.answered.borrow_mut())(n, result, received);
        let mut measured = shared.measured.borrow_mut();
        record(&mut measured.latency, received.saturating_duration_since(intended));
        match measured.kinds.get_mut(&kind) {
            Some(count) => *count += 1,
            None => {
                measured.kinds.insert(kind, 1);
            }
        }
    }
}

/// When the n-th request is meant to be sent; none once the load is over.
fn intended(plan: Plan, start: Instant, n: u64) -> Option<Instant> {
    match plan {
        Plan::Closed(time) => Some(Instant::now()).filter(|&now| now < start + time),
        Plan::Rate(rate, time) => {
            #[expect(clippy::cast_precision_loss, reason = "a count of requests is below 2^53")]
            let offset = Duration::from_secs_f64(n as f64 / rate);
            (offset < time).then(|| start + offset)
        }
        Plan::AtOnce(count) => (n < count).then_some(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_does_not_wait_for_the_server() {
        let start = Instant::now();
        let plan = Plan::Rate(100.0, Duration::from_secs(1));
        assert_eq!(intended(plan, start, 0), Some(start));
        assert_eq!(intended(plan, start, 50), Some(start + Duration::from_millis(500)));
        assert_eq!(intended(plan, start, 100), None);
    }

    #[test]
    fn a_rush_is_meant_for_one_moment() {
        let start = Instant::now();
        assert_eq!(intended(Plan::AtOnce(3), start, 2), Some(start));
        assert_eq!(intended(Plan::AtOnce(3), start, 3), None);
    }
}
