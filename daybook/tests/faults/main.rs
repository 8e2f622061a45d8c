//! Faults on real servers: every role a process over every engine, and then something is killed,
//! wiped, cut, delayed, doubled or put back. Afterwards nothing acknowledged is missing, no stock is
//! wrong, all goes on by itself, and read models and search equal a rebuild.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../../infra/tests/support/elasticsearch.rs"]
mod elasticsearch;
#[path = "../common/orders.rs"]
mod orders;
#[path = "../../../infra/tests/servers/mod.rs"]
mod servers;
#[path = "../common/toxiproxy.rs"]
mod toxiproxy;

mod away;
mod clocks;
mod lines;
mod messages;
mod own;
mod processes;
mod restored;

use std::time::{Duration, Instant};

use common::{Server, eventually};
use orders::Orders;

/// Clients, each with one order at a time.
const CLIENTS: usize = 4;
/// How long a client rests between two orders: under load, but not so that the machine is busy with
/// nothing else.
const REST: Duration = Duration::from_millis(80);

/// Orders at the pace of these tests.
fn at_our_pace() -> Orders {
    Orders::resting(REST)
}

/// How long it takes until it holds.
#[track_caller]
fn until(mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    eventually(|| holds().then_some(()));
    begun.elapsed()
}

/// That everything goes on: an order that is placed from now on can be read everywhere. How long
/// that took.
#[track_caller]
fn goes_on(orders: &Orders, query: &Server) -> Duration {
    let begun = Instant::now();
    // Those under way may have been answered before.
    orders.more(CLIENTS + 1);
    cluster::posted(query, &orders.newest());
    begun.elapsed()
}

/// Asks a process again and again while something is done: every answer is 200, or 503 with
/// Retry-After. How many were, and how long the slowest took.
struct Answers {
    fine: usize,
    refused: usize,
    slowest: Duration,
}

fn while_asking<T>(node: &Server, path: &str, work: impl FnOnce() -> T) -> (T, Answers) {
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = Answers { fine: 0, refused: 0, slowest: Duration::ZERO };
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = node.get(path);
                answers.slowest = answers.slowest.max(begun.elapsed());
                match answer.status {
                    200 => answers.fine += 1,
                    503 => {
                        assert!(answer.header("retry-after").is_some(), "{answer:?}");
                        answers.refused += 1;
                    }
                    _ => panic!("{path}: {answer:?}"),
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            answers
        });
        let worked = work();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        (worked, asking.join().unwrap())
    })
}

impl std::fmt::Display for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fine, refused, slowest } = self;
        write!(f, "{fine} answered, {refused} 503, the slowest after {slowest:.1?}")
    }
}

/// What a test says of itself at the end.
fn say(what: &str, orders: &Orders) {
    println!("{what}: {} orders placed; 503: {:?}", orders.count(), orders.refused());
}
