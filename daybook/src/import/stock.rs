use commands::routes::receive_stock::ReceiveStock;
use csv::StringRecord;

use super::{Step, bring_in::Asked, input::Row, rows, values::Wrong};
use crate::failure::Failure;

/// The columns of a file of stock: units that came in, by sku, all in one batch.
#[derive(Debug)]
pub(super) struct Columns {
    found: rows::Found<2>,
    ignored: Vec<String>,
    batch: String,
}

impl Columns {
    pub(super) fn find(header: &StringRecord, batch: String) -> Result<Self, Failure> {
        let found = rows::find(header, ["sku", "quantity"])?;
        Ok(Self { ignored: found.ignored(), found, batch })
    }

    pub(super) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    pub(super) fn step(&self, row: &Row) -> Step {
        let key = row.values.get(self.found.at[0]).unwrap_or_default().to_owned();
        Step { line: row.line, rows: 1, key, asked: self.received(row) }
    }

    fn received(&self, row: &Row) -> Result<Asked, String> {
        let [sku, quantity] = self.found.values(row)?;
        let mut wrong = Wrong::default();
        let (sku, quantity) = (wrong.id("sku", sku), wrong.quantity("quantity", quantity));
        let batch = Some(self.batch.clone());
        match (sku, quantity) {
            (Some(sku), Some(quantity)) => {
                Ok(Asked::Stock { sku, received: ReceiveStock { quantity, batch } })
            }
            _ => Err(wrong.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::input::of_text;

    #[test]
    fn a_row_is_a_receipt_of_the_batch() {
        let mut input = of_text("quantity,note,sku\n14,x,25671\n0,y,25672\n");
        let columns = Columns::find(input.header(), "opening".to_owned()).unwrap();
        assert_eq!(columns.ignored(), ["note"]);
        let first = columns.step(&input.next().unwrap().unwrap());
        assert_eq!((first.line, first.key.as_str()), (2, "25671"));
        let Ok(Asked::Stock { sku, received }) = first.asked else { panic!() };
        assert_eq!((sku.as_str(), received.quantity), ("25671", 14));
        assert_eq!(received.batch.as_deref(), Some("opening"));
        let second = columns.step(&input.next().unwrap().unwrap());
        assert!(second.asked.unwrap_err().contains("quantity must be a whole number"));
    }
}
