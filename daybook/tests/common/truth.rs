//! What the files of a shop add up to, by themselves: read with csv and flate2 alone, by none of
//! the program's own code.
#![allow(unreachable_pub, reason = "each test file includes it for itself")]

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::Read,
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// Orders, units and minor units of revenue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sales {
    pub orders: i64,
    pub units: i64,
    pub revenue: i64,
}

/// The sums.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub products: usize,
    pub orders_in: usize,
    pub orders_refused: usize,
    pub customers: usize,
    pub lines: usize,
    pub total: Sales,
    /// By the UTC day, as `2017-01-31`.
    pub by_day: BTreeMap<String, Sales>,
    pub by_department: BTreeMap<String, Sales>,
    /// On hand and reserved by sku.
    pub stock: BTreeMap<String, (i64, i64)>,
    /// Orders, units and revenue by customer.
    pub by_customer: BTreeMap<String, Sales>,
}

struct Line {
    customer: String,
    day: String,
    sku: String,
    quantity: i64,
    total: i64,
}

/// Adds up the three files of a folder, compressed or not.
pub fn of(dir: &Path) -> Truth {
    let mut departments = BTreeMap::new();
    for row in rows(dir, "products") {
        departments.insert(row["sku"].clone(), row["department"].clone());
    }
    let mut truth = Truth { products: departments.len(), ..Truth::default() };
    for row in rows(dir, "stock") {
        if departments.contains_key(&row["sku"]) {
            truth.stock.insert(row["sku"].clone(), (row["quantity"].parse().unwrap(), 0));
        }
    }
    let mut customers = HashSet::new();
    let mut open = (String::new(), Vec::new());
    for row in rows(dir, "orders") {
        if row["order_id"] != open.0 {
            truth.add(&open.1, &departments, &mut customers);
            open = (row["order_id"].clone(), Vec::new());
        }
        let quantity: i64 = row["quantity"].parse().unwrap();
        open.1.push(Line {
            customer: row["customer_id"].clone(),
            day: row["placed_at"][..10].to_owned(),
            sku: row["sku"].clone(),
            quantity,
            total: quantity * cents(&row["unit_price"]) - cents(&row["discount"]),
        });
    }
    truth.add(&open.1, &departments, &mut customers);
    truth.customers = customers.len();
    truth
}

impl Truth {
    fn add(
        &mut self,
        lines: &[Line],
        departments: &BTreeMap<String, String>,
        customers: &mut HashSet<String>,
    ) {
        let Some(first) = lines.first() else { return };
        if lines.iter().any(|line| line.quantity == 0 || !departments.contains_key(&line.sku)) {
            self.orders_refused += 1;
            return;
        }
        self.orders_in += 1;
        self.lines += lines.len();
        customers.insert(first.customer.clone());
        for sums in [
            &mut self.total,
            self.by_day.entry(first.day.clone()).or_default(),
            self.by_customer.entry(first.customer.clone()).or_default(),
        ] {
            sums.orders += 1;
            for line in lines {
                sums.units += line.quantity;
                sums.revenue += line.total;
            }
        }
        let mut touched = BTreeSet::new();
        for line in lines {
            let department = &departments[&line.sku];
            let sums = self.by_department.entry(department.clone()).or_default();
            sums.orders += i64::from(touched.insert(department));
            sums.units += line.quantity;
            sums.revenue += line.total;
            self.stock.get_mut(&line.sku).unwrap().1 += line.quantity;
        }
    }
}

/// The rows of one file as values by column.
fn rows(dir: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let plain = dir.join(format!("{name}.csv"));
    let bytes: Box<dyn Read> = if plain.exists() {
        Box::new(File::open(plain).unwrap())
    } else {
        Box::new(MultiGzDecoder::new(File::open(dir.join(format!("{name}.csv.gz"))).unwrap()))
    };
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

/// `12.34` as 1234.
fn cents(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap();
    assert_eq!(part.len(), 2, "{text}");
    format!("{whole}{part}").parse().unwrap()
}
