//! Reports: sums of sales by intervals of any time zone.

mod as_of;
mod buckets;
mod intervals;
pub(crate) mod sales;
mod sums;
#[cfg(test)]
mod tests;
