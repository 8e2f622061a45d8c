//! A small shop, generated from a seed: the same each time.

use serde_json::{Value, json};

/// What is sold: name, department, category, price in minor units, and how it varies.
const THINGS: [(&str, &str, &str, i64, &[&str]); 14] = [
    ("Chopping Board", "KITCHEN", "BOARDS", 2_400, SIZES),
    ("Mixing Bowl", "KITCHEN", "BOWLS", 1_800, SIZES),
    ("Tea Mug", "KITCHEN", "CUPS", 1_100, COLOURS),
    ("Tea Towel", "KITCHEN", "TEXTILES", 700, COLOURS),
    ("Apron", "KITCHEN", "TEXTILES", 2_900, COLOURS),
    ("Watering Can", "GARDEN", "WATER", 3_200, SIZES),
    ("Hand Trowel", "GARDEN", "TOOLS", 1_450, &["One size"]),
    ("Plant Pot", "GARDEN", "POTS", 950, SIZES),
    ("Bird Feeder", "GARDEN", "BIRDS", 1_990, &["One size"]),
    ("Desk Lamp", "STUDY", "LAMPS", 4_900, COLOURS),
    ("Notebook", "STUDY", "PAPER", 620, &["Plain", "Ruled", "Squared"]),
    ("Pencil Case", "STUDY", "PAPER", 1_250, COLOURS),
    ("Throw Blanket", "HOME", "TEXTILES", 5_400, COLOURS),
    ("Storage Basket", "HOME", "STORAGE", 2_150, SIZES),
];
const SIZES: &[&str] = &["Small", "Medium", "Large"];
const COLOURS: &[&str] = &["Moss", "Clay", "Slate"];
const KINDS: [&str; 6] = ["Alder", "Bramble", "Cedar", "Dune", "Ember", "Fern"];
const BRANDS: [&str; 4] = ["Hearth & Hand", "Three Gables", "Marlow Works", ""];
const NAMES: [&str; 8] = ["Ada", "Bruno", "Clara", "Dario", "Edda", "Felix", "Greta", "Hugo"];

/// Products of the demo shop.
pub(super) const PRODUCTS: usize = 40;
/// Orders that were placed before its doors open.
pub(super) const ORDERS: usize = 30;

/// One command of the filling, in the sequence in which they are sent. The key makes a filling
/// that was interrupted go on where it stopped.
pub(super) struct Step {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) body: Value,
}

/// A number generator with a fixed seed (SplitMix64 by Steele, Lea and Flood).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(z % bound).unwrap_or(0)
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Everything up to the orders: products, their stock, the customers; then the orders. `currency`
/// is the shop's.
pub(super) fn steps(currency: &str) -> Vec<Step> {
    let mut random = Random(1);
    let mut steps = Vec::new();
    let mut skus = Vec::new();
    for n in 0..PRODUCTS {
        // Round by round another kind of the same thing.
        let (thing, department, category, price, variants) = THINGS[n % THINGS.len()];
        let kind = KINDS[(n / THINGS.len() * 2 + n) % KINDS.len()];
        let title = format!("{kind} {thing}");
        let id = title.to_lowercase().replace(' ', "-");
        let base = price + i64::try_from(random.below(8)).unwrap_or(0) * 50;
        let variants: Vec<Value> = variants
            .iter()
            .zip(0..)
            .map(|(variant, step)| {
                let sku = format!("{id}-{}", variant.to_lowercase().replace(' ', "-"));
                let dearer = if std::ptr::eq(variants, SIZES) { step * base / 4 } else { 0 };
                skus.push(sku.clone());
                let price = json!({ "amount": base + dearer, "currency": currency });
                json!({ "sku": sku, "title": variant, "price": price })
            })
            .collect();
        steps.push(Step {
            key: format!("demo-product-{id}"),
            path: "/v1/products".to_owned(),
            body: json!({
                "id": id, "title": title, "brand": random.of(&BRANDS),
                "department": department, "category": category, "variants": variants,
            }),
        });
    }
    for sku in &skus {
        let quantity = 20 + random.below(180);
        steps.push(Step {
            key: format!("demo-stock-{sku}"),
            path: format!("/v1/stock/{sku}/receipts"),
            body: json!({ "quantity": quantity }),
        });
    }
    for name in NAMES {
        let id = name.to_lowercase();
        let personal = json!({ "name": name, "email": format!("{id}@example.com") });
        steps.push(Step {
            key: format!("demo-user-{id}"),
            path: "/v1/users".to_owned(),
            body: json!({ "id": id, "personal": personal }),
        });
    }
    for n in 0..ORDERS {
        let first = random.below(skus.len());
        let lines: Vec<Value> = (0..1 + random.below(3))
            .map(|line| {
                // Seven apart: different products, and never the same sku twice.
                let sku = &skus[(first + 7 * line) % skus.len()];
                json!({ "sku": sku, "quantity": 1 + random.below(3) })
            })
            .collect();
        steps.push(Step {
            key: format!("demo-order-{n}"),
            path: "/v1/orders".to_owned(),
            body: json!({
                "customer_id": random.of(&NAMES).to_lowercase(),
                "channel": random.of(&["web", "shop", "phone"]),
                "lines": lines,
            }),
        });
    }
    steps
}

/// The body of the first order: a customer and a sku that exist.
pub(super) const FIRST_ORDER: &str =
    r#"{"customer_id":"ada","channel":"web","lines":[{"sku":"cedar-tea-mug-moss","quantity":2}]}"#;

/// The path of what happens next to the n-th order of the filling, if anything does.
pub(super) fn next_of(n: usize) -> Option<(&'static str, Value)> {
    match n % 5 {
        0 => Some(("dispatch", json!({ "carrier": "bicycle" }))),
        1 => Some(("cancellation", json!({ "reason": "changed my mind" }))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_shop_is_the_same_each_time_and_nothing_in_it_is_there_twice() {
        let (one, two) = (steps("USD"), steps("USD"));
        assert!(one.iter().zip(&two).all(|(a, b)| a.key == b.key && a.body == b.body));
        let keys: BTreeSet<&str> = one.iter().map(|step| step.key.as_str()).collect();
        assert_eq!(keys.len(), one.len());
    }

    #[test]
    fn the_first_order_is_of_a_customer_and_a_sku_that_exist() {
        let steps = steps("EUR");
        let order: Value = serde_json::from_str(FIRST_ORDER).unwrap();
        let made = |key: String| steps.iter().any(|step| step.key == key);
        assert!(made(format!("demo-user-{}", order["customer_id"].as_str().unwrap())));
        assert!(made(format!("demo-stock-{}", order["lines"][0]["sku"].as_str().unwrap())));
    }
}
