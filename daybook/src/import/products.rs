use std::collections::BTreeMap;

use commands::routes::create_product::NewProduct;
use csv::StringRecord;
use domain::product::MAX_ATTRIBUTES;
use event_schemas::{Currency, Variant};

use super::{Step, bring_in::Asked, input::Row, rows, values::Wrong};
use crate::failure::Failure;

const WANTED: [&str; 6] = ["sku", "title", "brand", "department", "category", "price"];

/// The columns of a file of products: a product has one variant, and the id of both is the sku.
/// Further columns become attributes.
#[derive(Debug)]
pub(super) struct Columns {
    found: rows::Found<6>,
    currency: Currency,
}

impl Columns {
    pub(super) fn find(header: &StringRecord, currency: Currency) -> Result<Self, Failure> {
        let found = rows::find(header, WANTED)?;
        if found.others.len() > MAX_ATTRIBUTES {
            return Err(Failure::usage(format!(
                "the file has {} further columns; a product has at most {MAX_ATTRIBUTES} attributes",
                found.others.len()
            )));
        }
        let fits = |name: &str| {
            (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control)
        };
        if let Some((at, name)) = found.others.iter().find(|(_, name)| !fits(name)) {
            return Err(Failure::usage(format!(
                "column {} is named {name:?}; an attribute's name has 1 to 64 characters",
                at + 1
            )));
        }
        Ok(Self { found, currency })
    }

    pub(super) fn step(&self, row: &Row) -> Step {
        let key = row.values.get(self.found.at[0]).unwrap_or_default().to_owned();
        let asked = self.product(row).map(|product| Asked::Product(Box::new(product)));
        Step { line: row.line, rows: 1, key, asked }
    }

    fn product(&self, row: &Row) -> Result<NewProduct, String> {
        let [sku, title, brand, department, category, price] = self.found.values(row)?;
        let mut wrong = Wrong::default();
        let sku = wrong.id("sku", sku);
        let title = wrong.text_of("title", title, 1..=200);
        let brand = wrong.text_of("brand", brand, 0..=64);
        let department = wrong.text_of("department", department, 1..=64);
        let category = wrong.text_of("category", category, 0..=64);
        let price = wrong.money("price", price, self.currency);
        let mut attributes = BTreeMap::new();
        for (at, name) in &self.found.others {
            let value = row.values.get(*at).unwrap_or_default();
            if let Some(value) = wrong.text_of(name, value, 0..=200).filter(|text| !text.is_empty())
            {
                attributes.insert(name.clone(), value);
            }
        }
        let product = (|| {
            let (sku, price) = (sku?, self.currency.money(price?));
            Some(NewProduct {
                id: sku.clone(),
                title: title?,
                brand: brand?,
                department: department?,
                category: category?,
                attributes,
                on_shelf: true,
                variants: vec![Variant { sku, title: String::new(), price }],
            })
        })();
        product.filter(|_| wrong.is_empty()).ok_or_else(|| wrong.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::input::of_text;

    fn read(text: &str) -> Vec<Result<NewProduct, String>> {
        let mut input = of_text(text);
        let columns = Columns::find(input.header(), Currency::USD).unwrap();
        let mut found = Vec::new();
        while let Some(row) = input.next().unwrap() {
            found.push(columns.product(&row));
        }
        found
    }

    #[test]
    fn a_row_is_a_product_with_one_variant() {
        let found = read(
            "sku,title,brand,manufacturer,department,category,package_size,price\n\
             25671,\"Ice, Crushed\",National,2,GROCERY,FRZN ICE,22 LB,3.49\n\
             26093,Bread,Private,69,PASTRY,,,1.59\n",
        );
        let first = found[0].as_ref().unwrap();
        assert_eq!((first.id.as_str(), first.title.as_str()), ("25671", "Ice, Crushed"));
        assert_eq!(first.variants[0].price, Currency::USD.money(349));
        assert_eq!(first.variants[0].sku, "25671");
        let attributes: Vec<_> =
            first.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(attributes, [("manufacturer", "2"), ("package_size", "22 LB")]);
        assert_eq!(found[1].as_ref().unwrap().attributes.len(), 1);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let found = read("sku,title,brand,department,category,price\na b,,x,,y,1e3\nq,t\n");
        let reason = found[0].as_ref().unwrap_err();
        for part in ["sku must be", "title has 0", "department has 0", "price must be an amount"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(found[1].as_ref().unwrap_err(), "the row has 2 values, the header has 6");
    }

    #[test]
    fn too_many_further_columns_are_refused() {
        let more: String = (0..33).map(|n| format!(",c{n}")).collect();
        let input = of_text(&format!("sku,title,brand,department,category,price{more}\n"));
        assert!(matches!(Columns::find(input.header(), Currency::USD), Err(Failure::Usage(_))));
    }
}
