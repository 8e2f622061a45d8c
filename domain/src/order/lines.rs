use std::collections::HashSet;

use event_schemas::{MAX_AMOUNT, OrderBody, OrderLine};

use super::Rejection;

/// The most lines that an order may have.
pub const MAX_LINES: usize = 1_000;
/// The largest quantity of a line.
pub const MAX_QUANTITY: i64 = (1 << 31) - 1;

/// `quantity x unit_price - discount` in minor units; `None` if an amount or the total is beyond
/// +-(2^53 - 1).
pub fn line_total(quantity: i64, unit_price: i64, discount: i64) -> Option<i64> {
    bounded(quantity.checked_mul(bounded(unit_price)?)?.checked_sub(bounded(discount)?)?)
}

/// Sets each line's total and returns their sum, in minor units.
///
/// # Errors
/// [`Rejection::Overflow`] if an amount or the sum is beyond +-(2^53 - 1).
pub fn price_lines(lines: &mut [OrderLine]) -> Result<i64, Rejection> {
    let mut sum = 0;
    for line in lines {
        line.total = total_of(line)?;
        sum = add(sum, line.total)?;
    }
    bounded(sum).ok_or(Rejection::Overflow)
}

/// Checks that the order is one that may be written: its lines, and every total in it.
pub(super) fn check(order: &OrderBody) -> Result<(), Rejection> {
    if !(1..=MAX_LINES).contains(&order.lines.len()) {
        return Err(Rejection::LineCount { count: order.lines.len() });
    }
    let mut skus = HashSet::with_capacity(order.lines.len());
    let mut sum = 0;
    for line in &order.lines {
        if !(1..=MAX_QUANTITY).contains(&line.quantity) {
            return Err(Rejection::Quantity { sku: line.sku.clone(), quantity: line.quantity });
        }
        if !skus.insert(line.sku.as_str()) {
            return Err(Rejection::SkuTwice { sku: line.sku.clone() });
        }
        if line.total != total_of(line)? {
            return Err(Rejection::Totals);
        }
        sum = add(sum, line.total)?;
    }
    let sum = bounded(sum).ok_or(Rejection::Overflow)?;
    if sum == order.total { Ok(()) } else { Err(Rejection::Totals) }
}

fn total_of(line: &OrderLine) -> Result<i64, Rejection> {
    line_total(line.quantity, line.unit_price, line.discount).ok_or(Rejection::Overflow)
}

fn add(sum: i64, total: i64) -> Result<i64, Rejection> {
    sum.checked_add(total).ok_or(Rejection::Overflow)
}

fn bounded(amount: i64) -> Option<i64> {
    (-MAX_AMOUNT..=MAX_AMOUNT).contains(&amount).then_some(amount)
}
