//! How long it takes from an order's acknowledgement until a query finds it.

use hdrhistogram::Histogram;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    client::{Answer, Connection, Target},
    load::{histogram, record},
    shop::waiting,
};

/// Connections that look for orders side by side.
const PROBERS: usize = 16;

/// An acknowledged order.
pub(crate) struct Probe {
    path: Option<String>,
    position: Option<String>,
    acknowledged: Instant,
}

impl Probe {
    /// The order of this answer, received just now.
    pub(crate) fn new(answer: &Answer, acknowledged: Instant) -> Self {
        Self {
            path: answer
                .headers
                .get(http::header::LOCATION)
                .and_then(|location| location.to_str().ok())
                .map(str::to_owned),
            position: answer.position().map(str::to_owned),
            acknowledged,
        }
    }
}

/// Asks for each order with its position, which the server waits for, until no more come. The
/// times include the query's own way. A query that fails counts as two minutes: it shows.
pub(crate) async fn measure(
    target: Target,
    mut probes: mpsc::UnboundedReceiver<Probe>,
) -> Histogram<u64> {
    let mut lags = histogram();
    let mut idle = Vec::new();
    let mut running: JoinSet<(Connection, Option<std::time::Duration>)> = JoinSet::new();
    loop {
        tokio::select! {
            Some(done) = running.join_next() => {
                // A prober that panicked measured nothing; the load goes on.
                if let Ok((connection, lag)) = done {
                    record(&mut lags, lag.unwrap_or(std::time::Duration::from_secs(120)));
                    idle.push(connection);
                }
            }
            probe = probes.recv(), if running.len() < PROBERS => {
                let Some(probe) = probe else { break };
                let Some(connection) = (match idle.pop() {
                    Some(connection) => Some(connection),
                    None => Connection::open(&target).await.ok(),
                }) else {
                    continue;
                };
                running.spawn(look_for(target.clone(), connection, probe));
            }
        }
    }
    while let Some(done) = running.join_next().await {
        if let Ok((_, lag)) = done {
            record(&mut lags, lag.unwrap_or(std::time::Duration::from_secs(120)));
        }
    }
    lags
}

async fn look_for(
    target: Target,
    mut connection: Connection,
    probe: Probe,
) -> (Connection, Option<std::time::Duration>) {
    let Some(path) = probe.path else { return (connection, None) };
    let request = waiting(target.get(&path), probe.position.as_deref());
    let found = connection.send(request).await.is_ok_and(|answer| answer.status == 200);
    (connection, found.then(|| probe.acknowledged.elapsed()))
}
