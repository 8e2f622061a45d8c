//! The check after a load of orders.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{
    client::{Connection, Target},
    orders::{Orders, Outcomes},
    shop::{BenchShop, Units, expect, waiting},
};
use crate::failure::Failure;

/// How long holds of orders that got no outcome may stand until the reservation watch has
/// released them.
const WATCH: Duration = Duration::from_secs(90);
/// At most so many differences are told.
const TOLD: usize = 20;

/// Sends every order of unknown outcome again, with its key, until the outcome is known.
pub(crate) async fn settle(
    target: &Target,
    connection: &mut Connection,
    orders: &Orders,
    outcomes: &mut Outcomes,
) -> Result<(), Failure> {
    let end = Instant::now() + WATCH;
    while !outcomes.unknown.is_empty() {
        if Instant::now() > end {
            let left = outcomes.unknown.len();
            return Err(Failure::failed(format!("the outcome of {left} orders stays unknown")));
        }
        for n in std::mem::take(&mut outcomes.unknown) {
            let request = target.post("/v1/orders", &orders.key(n), orders.body(n));
            let result = connection.send(request).await;
            let unsent = result.as_ref().is_err_and(|lost| *lost == super::client::Lost::Connect);
            outcomes.note(orders, n, &result);
            if unsent {
                outcomes.unknown.push(n);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// What does not agree with the answers: units reserved that were not placed or the reverse,
/// skus that are oversold, orders that are not what was answered.
pub(crate) async fn differences(
    target: &Target,
    connection: &mut Connection,
    shop: &BenchShop,
    before: &BTreeMap<String, Units>,
    outcomes: &Outcomes,
) -> Result<Vec<String>, Failure> {
    let position = outcomes.position.as_deref();
    let end = Instant::now() + WATCH;
    let mut differences = loop {
        let after = shop.units(target, connection, position).await?;
        let differences = stock_differences(before, &after, &outcomes.placed);
        if differences.is_empty() || !outcomes.troubled || Instant::now() > end {
            break differences;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for order in &outcomes.sample {
        let id = order["id"].as_str().unwrap_or_default();
        let request = waiting(target.get(&format!("/v1/orders/{id}")), position);
        let answer = expect(connection.send(request).await, 200, "an order")?;
        if answer.json() != *order {
            differences.push(format!("order {id} is not what was answered when it was placed"));
        }
    }
    differences.truncate(TOLD);
    Ok(differences)
}

fn stock_differences(
    before: &BTreeMap<String, Units>,
    after: &BTreeMap<String, Units>,
    placed: &BTreeMap<String, i64>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (sku, before) in before {
        let placed = placed.get(sku).copied().unwrap_or_default();
        let Some(after) = after.get(sku) else {
            differences.push(format!("{sku} is gone"));
            continue;
        };
        if after.reserved - before.reserved != placed {
            differences.push(format!(
                "{sku}: {placed} units were placed, reserved went from {} to {}",
                before.reserved, after.reserved
            ));
        }
        if after.reserved < 0 || after.on_hand < after.reserved {
            differences.push(format!(
                "{sku} is oversold: {} on hand, {} reserved",
                after.on_hand, after.reserved
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(on_hand: i64, reserved: i64) -> BTreeMap<String, Units> {
        [("s".to_owned(), Units { on_hand, reserved })].into()
    }

    #[test]
    fn reserved_grows_by_what_was_placed() {
        let placed = [("s".to_owned(), 3)].into();
        let differences = |after| stock_differences(&units(10, 2), &after, &placed);
        assert_eq!(differences(units(10, 5)), Vec::<String>::new());
        assert!(differences(units(10, 4))[0].contains("from 2 to 4"));
        assert!(differences(BTreeMap::new())[0].contains("gone"));
    }

    #[test]
    fn none_is_oversold() {
        let placed = [("s".to_owned(), 9)].into();
        let differences = stock_differences(&units(10, 2), &units(10, 11), &placed);
        assert!(differences[0].contains("oversold"), "{differences:?}");
    }
}
