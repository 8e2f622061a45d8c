//! How long searches take over a real catalogue: posts the products of a CSV file (columns sku,
//! title, brand, department, category, price) and their first stock into an index, then asks at a
//! fixed rate, measured from when each question was due.
//!
//! `cargo run --release -p projections --example search_latency -- products.csv.gz [RATE] [SECONDS]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod grocery;

use std::time::Duration;

use event_schemas::{Logged, ProductCreated};
use grocery::{created, read, received};
use infra::search::{Query, SearchIndex, Sort};
use projections::search::{
    BRAND, CATEGORY, DEPARTMENT, IN_STOCK, ON_SHELF, PRICE, SearchSink, TITLE, schema,
};
use tokio::time::{Instant, sleep_until};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path of products.csv.gz");
    let rate: u64 = arguments.next().map_or(300, |rate| rate.parse().unwrap());
    let seconds: u64 = arguments.next().map_or(20, |seconds| seconds.parse().unwrap());
    let products = read(&path);

    let dir = tempfile::tempdir().unwrap();
    let index = SearchIndex::open_tantivy(dir.path().join("search"), schema()).await.unwrap();
    let begun = Instant::now();
    let events: Vec<Logged> = created(&products).chain(received(&products)).collect();
    let mut sink = SearchSink::live(index.clone(), grocery::STORE);
    grocery::post(&mut sink, &events).await;
    println!("{} events posted in {:.1?}", events.len(), begun.elapsed());
    drop(events);

    let mut seed = 1;
    println!("one after the other:");
    let mut took = Vec::new();
    for _ in 0..600 {
        let (kind, query) = question(&products, &mut seed);
        let begun = Instant::now();
        let page = index.query(query).await.unwrap();
        took.push((kind, begun.elapsed(), page.total));
    }
    report_all(&took);

    println!("{rate} a second:");
    let begun = Instant::now();
    let mut asked = Vec::new();
    for n in 0..rate * seconds {
        let due = begun + Duration::from_micros(n * 1_000_000 / rate);
        sleep_until(due).await;
        let (kind, query) = question(&products, &mut seed);
        let index = index.clone();
        asked.push(tokio::spawn(async move {
            let page = index.query(query).await.unwrap();
            (kind, due.elapsed(), page.total)
        }));
    }
    let mut took = Vec::new();
    for answer in asked {
        took.push(answer.await.unwrap());
    }
    report_all(&took);
}

fn report_all(took: &[(&str, Duration, u64)]) {
    report("all", took.iter().map(|(_, took, _)| *took).collect());
    for kind in ["empty", "words", "typing error", "filters", "by price", "by title"] {
        let of_kind = took.iter().filter(|(asked, _, _)| *asked == kind);
        report(kind, of_kind.map(|(_, took, _)| *took).collect());
    }
}

fn report(kind: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 1_000];
    println!(
        "{kind:>13}: {:>6}  p50 {:>9.1?}  p90 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
        took.len(),
        at(500),
        at(900),
        at(990),
        at(1_000)
    );
}

/// What customers ask, one kind after the other.
fn question(products: &[ProductCreated], seed: &mut u64) -> (&'static str, Query) {
    let product = &products[random(seed, products.len())];
    let mut words: Vec<&str> = product
        .title
        .split(|sign: char| !sign.is_alphanumeric())
        .filter(|word| word.len() > 3)
        .collect();
    words.truncate(1 + random(seed, 2));
    let words = words.join(" ");
    let query = Query {
        text: words.clone(),
        flags: vec![ON_SHELF],
        facets: vec![DEPARTMENT, BRAND, CATEGORY],
        facet_limit: 20,
        limit: 50,
        ..Query::default()
    };
    match random(seed, 6) {
        0 => ("empty", Query { text: String::new(), ..query }),
        1 => ("words", query),
        2 => {
            let mut text = words;
            if text.len() > 2 {
                text.remove(2);
            }
            ("typing error", Query { text, ..query })
        }
        3 => (
            "filters",
            Query {
                text: String::new(),
                keywords: vec![
                    (DEPARTMENT, vec![product.department.clone()]),
                    (BRAND, vec![product.brand.clone()]),
                ],
                ranges: vec![(PRICE, Some(100), Some(500))],
                flags: vec![ON_SHELF, IN_STOCK],
                ..query
            },
        ),
        4 => {
            let sort = Sort::Integer { field: PRICE, descending: true };
            ("by price", Query { text: String::new(), sort, ..query })
        }
        _ => {
            let sort = Sort::Text { field: TITLE, descending: false };
            ("by title", Query { sort, ..query })
        }
    }
}

/// A linear congruential generator (Knuth, MMIX): the same questions each time.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap() % below
}
