//! Queries about stock.

pub(crate) mod list;
pub(crate) mod one;

use infra::read_models::{ReadModelError, Row};

/// The columns that [`document`] is made of.
const COLUMNS: &str = "sku, on_hand, reserved, available";

/// The stock of one sku as it goes out, from [`COLUMNS`] beginning at `first`. A sku needs no
/// escape in JSON: it is an id.
fn document(row: &mut Row, first: usize) -> Result<String, ReadModelError> {
    let (sku, on_hand) = (row.text(first)?, row.integer(first + 1)?);
    let (reserved, available) = (row.integer(first + 2)?, row.integer(first + 3)?);
    Ok(format!(
        r#"{{"sku":"{sku}","on_hand":{on_hand},"reserved":{reserved},"available":{available}}}"#
    ))
}
