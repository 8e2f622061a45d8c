//! `bench live`: many listeners to the log as it goes on, and how long an event is on its way to
//! each of them.

use std::{cell::RefCell, fs, rc::Rc, time::Duration};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::{
    sync::watch,
    task::LocalSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    client::{Connection, Lines, Target},
    load::{histogram, record},
    report::{Report, rounded},
    shop::{BenchShop, expect},
};
use crate::{cli::BenchLiveArgs, failure::Failure};

/// How long the last events may be on their way.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the listeners share.
struct Heard {
    /// What stands before an append's number in each of its events.
    mark: String,
    begun: Instant,
    rate: f64,
    latency: RefCell<Histogram<u64>>,
    events: watch::Sender<u64>,
}

/// Opens the listeners, appends at a rate, and waits until everybody has heard everything.
pub(crate) async fn run(args: BenchLiveArgs) -> Result<(), Failure> {
    let target = Target::parse(&args.url).await?;
    let mut connection = Connection::open(&target).await.map_err(|_| {
        Failure::failed(format!("nothing answers at {}; start `daybook serve`", args.url))
    })?;
    let shop = BenchShop::prepare(&target, &mut connection, None, 1, None).await?;
    let mut report = Report::new();
    memory(&mut report, "before", args.pid)?;
    let mut listeners = Vec::new();
    for n in 0..args.listeners {
        let lines = target.listen("/v1/events/live?category=stock").await.map_err(|lost| {
            let kind = lost.kind();
            Failure::failed(format!("listener {n}: {kind}; is ulimit -n high enough?"))
        })?;
        listeners.push(lines);
    }
    memory(&mut report, "listening", args.pid)?;
    let heard = Rc::new(Heard {
        mark: format!("\"correlation_id\":\"live-{}-", shop.run),
        begun: Instant::now(),
        rate: args.rate.into(),
        latency: RefCell::new(histogram()),
        events: watch::Sender::new(0),
    });
    let appends = u64::from(args.rate) * u64::from(args.seconds);
    let all = appends * u64::from(args.listeners);
    let measured = async {
        for lines in listeners {
            tokio::task::spawn_local(follow(lines, Rc::clone(&heard)));
        }
        for n in 0..appends {
            sleep_until(heard.meant(n)).await;
            append(&target, &mut connection, &shop, n).await?;
        }
        let mut events = heard.events.subscribe();
        // What is missing then shows in the figures.
        let _ = timeout(PATIENCE, events.wait_for(|events| *events == all)).await;
        Ok::<_, Failure>(())
    };
    LocalSet::new().run_until(measured).await?;
    memory(&mut report, "after", args.pid)?;
    report.add("listeners", args.listeners);
    report.add("events_appended", appends);
    report.add("seconds", rounded(heard.begun.elapsed().as_secs_f64(), 3));
    let received = *heard.events.borrow();
    report.add("events_received", received);
    report.quantiles("append_to_received_ms", &heard.latency.borrow());
    report.print(args.format)?;
    if received == all {
        return Ok(());
    }
    Err(Failure::failed(format!("{} events did not come", all - received)))
}

/// Receives stock, in a request whose id tells its number.
async fn append(
    target: &Target,
    connection: &mut Connection,
    shop: &BenchShop,
    n: u64,
) -> Result<(), Failure> {
    let id = format!("live-{}-{n}", shop.run);
    let path = format!("/v1/stock/{}/receipts", shop.skus[0]);
    let mut request = target.post(&path, &id, json!({ "quantity": 1 }).to_string());
    if let Ok(id) = id.parse() {
        request.headers_mut().insert("request-id", id);
    }
    expect(connection.send(request).await, 201, "a receipt of stock").map(drop)
}

/// Notes what one listener hears.
async fn follow(mut lines: Lines, heard: Rc<Heard>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(n) = heard.number_in(&line) {
            let late = Instant::now().saturating_duration_since(heard.meant(n));
            record(&mut heard.latency.borrow_mut(), late);
            heard.events.send_modify(|events| *events += 1);
        }
    }
}

impl Heard {
    /// When the n-th append is meant to be sent.
    fn meant(&self, n: u64) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "a count of appends is below 2^53")]
        let n = n as f64;
        self.begun + Duration::from_secs_f64(n / self.rate)
    }

    fn number_in(&self, line: &str) -> Option<u64> {
        let data = line.strip_prefix("data: ")?;
        data.split_once(&self.mark)?.1.split('"').next()?.parse().ok()
    }
}

/// Adds what the server's process takes, in MB, if it is known which that is.
fn memory(report: &mut Report, when: &str, pid: Option<u32>) -> Result<(), Failure> {
    let Some(pid) = pid else { return Ok(()) };
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| Failure::usage(format!("--pid {pid}: {error}")))?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    report.add(format!("server_memory_{when}_mb"), kib.map(|kib| kib * 1_024 / 1_000_000));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_this_run_is_told_by_its_number() {
        let heard = Heard {
            mark: "\"correlation_id\":\"live-run-".to_owned(),
            begun: Instant::now(),
            rate: 10.0,
            latency: RefCell::new(histogram()),
            events: watch::Sender::new(0),
        };
        let line = r#"data: {"id":"x","correlation_id":"live-run-17","data":{}}"#;
        assert_eq!(heard.number_in(line), Some(17));
        for other in ["id: 17", r#"data: {"correlation_id":"live-other-17"}"#, ": heartbeat"] {
            assert_eq!(heard.number_in(other), None, "{other}");
        }
        assert_eq!(heard.meant(25), heard.begun + Duration::from_millis(2_500));
    }
}
