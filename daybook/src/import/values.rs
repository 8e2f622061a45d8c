//! Values of a row, each by its own rule. What is wrong is gathered, all of it.

use domain::order::MAX_QUANTITY;
use event_schemas::{Currency, Timestamp};
use infra::http::is_id;

use super::money;
use crate::failure::Failure;

/// Ids that are paths of their own.
const RESERVED: [&str; 2] = ["search", "live"];

/// The name of a delivery of stock.
pub(super) fn batch(given: Option<String>) -> Result<String, Failure> {
    let batch = given.unwrap_or_else(|| "opening".to_owned());
    if is_id(&batch) {
        return Ok(batch);
    }
    Err(Failure::usage(format!("--batch {batch:?} must be 1 to 64 of A-Z a-z 0-9 _ - .")))
}

/// What is wrong with a row, in the sequence in which it was found.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<String>);

impl Wrong {
    pub(super) fn add(&mut self, reason: String) {
        if !self.0.contains(&reason) {
            self.0.push(reason);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of it as one text.
    pub(super) fn text(&self) -> String {
        self.0.join("; ")
    }

    fn ok<T>(&mut self, value: Result<T, String>) -> Option<T> {
        value.map_err(|reason| self.add(reason)).ok()
    }

    pub(super) fn id(&mut self, name: &str, text: &str) -> Option<String> {
        let fits = is_id(text) && !RESERVED.contains(&text);
        self.ok(fits.then(|| text.to_owned()).ok_or_else(|| {
            format!(
                "{name} must be 1 to 64 of A-Z a-z 0-9 _ - . and no path of its own, not {text:?}"
            )
        }))
    }

    pub(super) fn text_of(
        &mut self,
        name: &str,
        text: &str,
        chars: std::ops::RangeInclusive<usize>,
    ) -> Option<String> {
        let count = text.chars().count();
        if !chars.contains(&count) {
            let (least, most) = (chars.start(), chars.end());
            self.add(format!("{name} has {count} characters; it must have {least} to {most}"));
            return None;
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            self.add(format!("{name} has a control character"));
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn quantity(&mut self, name: &str, text: &str) -> Option<i64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| (1..=MAX_QUANTITY).contains(number));
        self.ok(number.filter(|_| digits).ok_or_else(|| {
            format!("{name} must be a whole number from 1 to {MAX_QUANTITY}, not {text:?}")
        }))
    }

    pub(super) fn money(&mut self, name: &str, text: &str, currency: Currency) -> Option<i64> {
        self.ok(money::parse(name, text, currency))
    }

    pub(super) fn time(&mut self, name: &str, text: &str) -> Option<Timestamp> {
        self.ok(text.parse().map_err(|error| format!("{name}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers() {
        let mut wrong = Wrong::default();
        for (text, number) in [("1", 1), ("0012", 12), ("2147483647", MAX_QUANTITY)] {
            assert_eq!(wrong.quantity("quantity", text), Some(number));
        }
        assert!(wrong.is_empty());
        for text in ["0", "-1", "+1", "1.5", "1e3", "", "2147483648", "one"] {
            assert_eq!(wrong.quantity("quantity", text), None, "{text}");
        }
    }

    #[test]
    fn ids_and_texts_keep_the_contract() {
        let mut wrong = Wrong::default();
        for id in ["", "search", ".a", "a b", "é"] {
            assert_eq!(wrong.id("sku", id), None, "{id}");
        }
        assert_eq!(wrong.text_of("title", "", 1..=200), None);
        assert_eq!(
            wrong.text_of("title", &"é".repeat(200), 1..=200).map(|text| text.len()),
            Some(400)
        );
        assert_eq!(wrong.text_of("title", &"x".repeat(201), 1..=200), None);
        assert_eq!(wrong.text_of("title", "a\0", 1..=200), None);
        assert!(batch(Some("a b".to_owned())).is_err());
        assert_eq!(batch(None).unwrap(), "opening");
    }
}
