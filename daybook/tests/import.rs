//! Imports by the real program: sums, refusals, interruptions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/truth.rs"]
mod truth;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use common::{Server, daybook, run, text};
use infra::read_models::{ReadModels, Row};
use serde_json::Value;
use truth::{Sales, Truth};

const ORDERS: &str = "order_id,customer_id,channel,placed_at,sku,quantity,unit_price,discount\n";

/// A small shop's files: 60 products, orders over three days, some of them bad.
fn write_files(dir: &Path, orders: u32) {
    let mut products = "sku,title,brand,maker,department,category,size,price\n".to_owned();
    let mut stock = "sku,quantity\n".to_owned();
    for n in 0..60 {
        let department = ["HOME", "FOOD", "GARDEN"][n % 3];
        writeln!(products, "s{n},\"Thing {n}, plain\",Acme,{n},{department},,,{n}.{:02}", n + 10)
            .unwrap();
        writeln!(stock, "s{n},{}", 1_000_000 + n).unwrap();
    }
    let mut rows = ORDERS.to_owned();
    for n in 0..orders {
        for line in 0..=n % 4 {
            // Bad orders have a bad line, not always the first.
            let quantity = if n % 10 == 3 && line == 1 { 0 } else { 1 + n % 5 };
            let sku = if n % 17 == 5 { 77 } else { (n * 7 + line) % 60 };
            let (day, hour, minute) = (1 + n % 3, n % 24, n % 60);
            writeln!(
                rows,
                "o{n},c{},web,2017-01-{day:02}T{hour:02}:{minute:02}:00Z,s{sku},{quantity},{}.99,0.{:02}",
                n % 9,
                n % 7,
                n % 50
            )
            .unwrap();
        }
    }
    for (name, rows) in [("products", products), ("stock", stock), ("orders", rows)] {
        fs::write(dir.join(format!("{name}.csv")), rows).unwrap();
    }
}

fn import(dir: &Path, kind: &str, file: &str) -> Output {
    run(dir, &["import", kind, file, "--data", "data"])
}

#[track_caller]
fn expect(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
}

fn refused(dir: &Path, kind: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = csv::Reader::from_path(dir.join(format!("data/refused-{kind}.csv"))).unwrap();
    rows.deserialize().map(Result::unwrap).collect()
}

fn status(dir: &Path) -> Value {
    let output = run(dir, &["status", "--data", "data", "--format", "json"]);
    expect(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// That the shop says what its files say.
fn check(dir: &Path, truth: &Truth) {
    let counts = &status(dir)["counts"];
    let count = |name: &str| counts[name].as_i64().unwrap();
    assert_eq!(count("products"), i64::try_from(truth.products).unwrap());
    assert_eq!(count("skus"), i64::try_from(truth.products).unwrap());
    assert_eq!(count("users"), i64::try_from(truth.customers).unwrap());
    assert_eq!(count("orders"), i64::try_from(truth.orders_in).unwrap());
    assert_eq!(count("order_lines"), i64::try_from(truth.lines).unwrap());
    assert_eq!(count("units"), truth.total.units);
    let server = Server::start(dir, &[]);
    let sales = |item: &Value| Sales {
        orders: item["orders"].as_i64().unwrap(),
        units: item["units"].as_i64().unwrap(),
        revenue: item["revenue"]["amount"].as_i64().unwrap(),
    };
    let report = |rest: &str| {
        server
            .get(&format!("/v1/reports/sales?from=2017-01-01&to=2017-02-01&{rest}"))
            .expect(200)
            .json()
    };
    let items = |report: &Value| report["items"].as_array().unwrap().clone();
    let by_day = report("interval=day&by=none");
    assert_eq!(sales(&by_day["total"]), truth.total);
    let days: BTreeMap<_, _> = items(&by_day)
        .iter()
        .map(|item| (item["start"].as_str().unwrap()[..10].to_owned(), sales(item)))
        .filter(|(_, sales)| sales.orders > 0)
        .collect();
    assert_eq!(days, truth.by_day);
    let by_key = |dimension: &str| -> BTreeMap<String, Sales> {
        let report = report(&format!("interval=none&by={dimension}"));
        let key = |item: &Value| (item["key"].as_str().unwrap().to_owned(), sales(item));
        items(&report).iter().map(key).collect()
    };
    assert_eq!(by_key("department"), truth.by_department);
    assert_eq!(by_key("customer"), truth.by_customer);
    let mut stock = BTreeMap::new();
    let mut next = String::new();
    loop {
        let page = server.get(&format!("/v1/stock?sort=sku&limit=1000{next}")).expect(200).json();
        for item in items(&page) {
            let number = |name: &str| item[name].as_i64().unwrap();
            stock.insert(
                item["sku"].as_str().unwrap().to_owned(),
                (number("on_hand"), number("reserved")),
            );
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert!(stock == truth.stock, "stock differs");
    assert!(server.signal("TERM").success());
}

#[test]
fn a_shop_says_what_its_files_say_also_when_they_come_twice() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), 400);
    let truth = truth::of(dir.path());
    assert!(truth.orders_refused > 20);
    for _ in 0..2 {
        expect(&import(dir.path(), "products", "products.csv"), 0);
        expect(&import(dir.path(), "stock", "stock.csv"), 0);
        let orders = import(dir.path(), "orders", "orders.csv");
        expect(&orders, 3);
        assert!(text(&orders.stderr).contains("refused-orders.csv"), "{}", text(&orders.stderr));
        let list = refused(dir.path(), "orders");
        assert_eq!(list.len(), truth.orders_refused);
        let lines: Vec<u64> = list.iter().map(|row| row["line"].parse().unwrap()).collect();
        assert!(lines.is_sorted());
        assert!(
            list.iter().all(|row| !row["reason"].is_empty() && row["order_id"].starts_with('o'))
        );
        check(dir.path(), &truth);
    }
    let before = status(dir.path());
    // The same keys with other content are refused and leave no event.
    let products = "sku,title,brand,department,category,price\ns1,Other,,HOME,,1.00\n";
    fs::write(dir.path().join("other.csv"), products).unwrap();
    expect(&import(dir.path(), "products", "other.csv"), 3);
    fs::write(dir.path().join("other.csv"), "sku,quantity\ns1,5\nnone,5\n").unwrap();
    expect(&import(dir.path(), "stock", "other.csv"), 3);
    assert_eq!(refused(dir.path(), "stock").len(), 2);
    let orders = format!("{ORDERS}o0,c0,web,2017-01-01T00:00:00Z,s0,9,1.00,0.00\n");
    fs::write(dir.path().join("other.csv"), orders).unwrap();
    expect(&import(dir.path(), "orders", "other.csv"), 3);
    assert!(refused(dir.path(), "orders")[0]["reason"].contains("other content"));
    assert_eq!(status(dir.path())["store"]["events"], before["store"]["events"]);
    // Another batch is more stock.
    fs::write(dir.path().join("other.csv"), "sku,quantity\ns1,5\n").unwrap();
    let more =
        run(dir.path(), &["import", "stock", "other.csv", "--data", "data", "--batch", "monday"]);
    expect(&more, 0);
}

#[test]
fn short_stock_refuses_the_order_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let products = "sku,title,brand,department,category,price\na,A,,HOME,,1.00\n";
    fs::write(dir.path().join("p.csv"), products).unwrap();
    fs::write(dir.path().join("s.csv"), "sku,quantity\na,5\n").unwrap();
    let orders = format!("{ORDERS}1,c,web,2017-01-01T00:00:00Z,a,6,1.00,0.00\n");
    fs::write(dir.path().join("o.csv"), orders).unwrap();
    expect(&import(dir.path(), "products", "p.csv"), 0);
    expect(&import(dir.path(), "stock", "s.csv"), 0);
    for _ in 0..2 {
        expect(&import(dir.path(), "orders", "o.csv"), 3);
        let list = refused(dir.path(), "orders");
        assert_eq!(list[0]["reason"], "not enough stock: sku a: 6 asked for, 5 available");
    }
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.get("/v1/orders/1").expect(200).json()["status"], "refused");
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), 3_000);
    let truth = truth::of(dir.path());
    expect(&import(dir.path(), "products", "products.csv"), 0);
    expect(&import(dir.path(), "stock", "stock.csv"), 0);
    for _ in 0..3 {
        kill_on_the_way(dir.path(), "orders", "orders.csv", 500);
    }
    expect(&import(dir.path(), "orders", "orders.csv"), 3);
    check(dir.path(), &truth);
}

/// Ends an import by a kill when it has written so many events more, or has ended.
fn kill_on_the_way(dir: &Path, kind: &str, file: &str, more: u64) {
    // Until the store is made, there is no status.
    let events = || -> u64 {
        let output = run(dir, &["status", "--data", "data", "--format", "json"]);
        let status: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        status.and_then(|status| status["store"]["events"].as_u64()).unwrap_or(0)
    };
    let before = events();
    let mut child = daybook(dir)
        .args(["import", kind, file, "--data", "data", "-q"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() && events() < before + more {
        assert!(Instant::now() < end, "the import wrote nothing");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Every row of every SQL read model, as it lies there.
fn rows(dir: &Path) -> Vec<(&'static str, Vec<Row>)> {
    let models = ReadModels::sqlite(dir.join("data/read-models"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    for schema in projections::SCHEMAS {
        rows.extend(runtime.block_on(projections::dump(&models, schema)).unwrap());
    }
    rows
}

#[test]
fn an_interrupted_import_says_how_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), 10);
    let mut child = daybook(dir.path())
        .args(["import", "products", "-", "--data", "data"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&fs::read(dir.path().join("products.csv")).unwrap()).unwrap();
    stdin.flush().unwrap();
    // The rows are in, the file is not at its end: it waits for more.
    common::eventually(|| {
        // Until the store is made, there is no status.
        let output = run(dir.path(), &["status", "--data", "data", "--format", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["store"]["events"].as_u64() == Some(120)).then_some(())
    });
    common::signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
    expect(&import(dir.path(), "products", "products.csv"), 0);
    assert_eq!(status(dir.path())["counts"]["products"], 60);
}

#[test]
fn a_file_that_cannot_be_right_is_told_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&str, &[u8], i32, &str); 8] = [
        ("products", b"sku,title,brand,department,category\n", 2, "no column price"),
        ("stock", b"sku\n1\n", 2, "no column quantity"),
        ("orders", b"", 2, "no column order_id"),
        ("stock", b"sku,quantity,sku\n1,1,1\n", 2, "named \"sku\" like another"),
        ("stock", b"PK\x03\x04\xff\xfe", 1, "neither CSV in UTF-8 nor gzip"),
        ("stock", b"sku,quantity\na,1\nb,\"2\n", 1, "the quote opened on line 3 is never closed"),
        ("stock", b"sku,quantity\na\xe9,1\n", 1, "line 2 is not UTF-8"),
        ("stock", b"\x1f\x8b\x08\x00\x00", 1, "gzip"),
    ];
    for (kind, bytes, code, said) in cases {
        fs::write(dir.path().join("f.csv.gz"), bytes).unwrap();
        let output = import(dir.path(), kind, "f.csv.gz");
        expect(&output, code);
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
    let output = import(dir.path(), "stock", "not-there.csv");
    expect(&output, 1);
    assert!(text(&output.stderr).contains("not-there.csv"));
}

#[test]
fn further_columns_are_named_once_and_refused_rows_leave_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let products = "\u{feff}sku,title,brand,department,category,price\r\n\
                    a,A,,HOME,,1.00\r\nb,B,,HOME,,1e3\r\nc,C,,HOME,,-1.00\r\nd,D,,HOME,,1.999\r\n";
    fs::write(dir.path().join("p.csv"), products).unwrap();
    expect(&import(dir.path(), "products", "p.csv"), 3);
    let list = refused(dir.path(), "products");
    let lines: Vec<_> =
        list.iter().map(|row| (row["line"].as_str(), row["sku"].as_str())).collect();
    assert_eq!(lines, [("3", "b"), ("4", "c"), ("5", "d")]);
    assert_eq!(status(dir.path())["store"]["events"], 2);
    fs::write(dir.path().join("s.csv"), "note,sku,quantity,by\nx,a,5,y\nx,a,5,y\n").unwrap();
    let output =
        run(dir.path(), &["import", "stock", "s.csv", "--data", "data", "--refused", "mine.csv"]);
    expect(&output, 0);
    let said = text(&output.stderr);
    assert_eq!(said.matches("note, by").count(), 1, "{said}");
    assert!(dir.path().join("mine.csv").exists());
    assert_eq!(status(dir.path())["store"]["events"], 3);
}

/// The four weeks of a real chain, where a folder with its files is named: what the issue of the
/// pipeline demands, to the cent.
#[test]
fn a_real_chain() {
    let Some(files) = std::env::var_os("GROCERY_FILES") else {
        eprintln!("GROCERY_FILES names no folder: nothing to compare with");
        return;
    };
    let files = Path::new(&files);
    let truth = truth::of(files);
    let total = Sales { orders: 8_762, units: 8_148_848, revenue: 25_286_365 };
    assert_eq!((truth.products, truth.customers, truth.lines), (68_189, 1_857, 83_910));
    assert_eq!((truth.orders_refused, truth.total), (389, total));
    const KINDS: [(&str, i32); 3] = [("products", 0), ("stock", 0), ("orders", 3)];
    let path = |kind: &str| files.join(format!("{kind}.csv.gz")).to_str().unwrap().to_owned();
    let bring_in = |dir: &Path| {
        for (kind, code) in KINDS {
            let output = import(dir, kind, &path(kind));
            expect(&output, code);
            eprint!("{}", text(&output.stderr));
        }
        assert_eq!(refused(dir, "orders").len(), 389);
        check(dir, &truth);
    };
    let dir = tempfile::tempdir().unwrap();
    // Killed along the way, then brought in, then brought in again.
    for (kind, _) in KINDS {
        kill_on_the_way(dir.path(), kind, &path(kind), 20_000);
        let code = import(dir.path(), kind, &path(kind)).status.code();
        assert!(matches!(code, Some(0 | 3)), "{code:?}");
    }
    bring_in(dir.path());
    bring_in(dir.path());
    let before = rows(dir.path());
    expect(&run(dir.path(), &["rebuild", "--all", "--data", "data", "-q"]), 0);
    assert!(rows(dir.path()) == before, "a rebuild gives other rows");
    check(dir.path(), &truth);
}
