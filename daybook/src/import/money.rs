//! Money as files write it, exactly.

use event_schemas::{Currency, MAX_AMOUNT};

/// Currencies of ISO 4217 without minor units.
const NO_DIGITS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];
/// Currencies of ISO 4217 with thousandths.
const THREE_DIGITS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
/// Units of account of ISO 4217 with ten-thousandths.
const FOUR_DIGITS: [&str; 2] = ["CLF", "UYW"];

/// How many digits the minor unit of a currency has (ISO 4217).
pub(super) fn digits(currency: Currency) -> usize {
    let code = currency.as_str();
    if NO_DIGITS.contains(&code) {
        0
    } else if THREE_DIGITS.contains(&code) {
        3
    } else if FOUR_DIGITS.contains(&code) {
        4
    } else {
        2
    }
}

/// An amount of 0 or more in minor units: digits, and behind a point at most as many as the
/// currency has.
///
/// # Errors
/// What is wrong, said of the `name`d value.
pub(super) fn parse(name: &str, text: &str, currency: Currency) -> Result<i64, String> {
    let most = digits(currency);
    let no_amount = || {
        let example = if most == 0 { "12".to_owned() } else { format!("12.{}", &"3456"[..most]) };
        format!("{name} must be an amount such as {example}, not {text:?}")
    };
    if text.starts_with('-') {
        return Err(format!("{name} must not be below 0, and is {text:?}"));
    }
    let (whole, part) = match text.split_once('.') {
        Some((_, "")) => return Err(no_amount()),
        Some((whole, part)) => (whole, part),
        None => (text, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return Err(no_amount());
    }
    if part.len() > most {
        return Err(format!(
            "{name} has at most {most} digits behind the point in {currency}, and is {text:?}"
        ));
    }
    let minor =
        whole.bytes().chain(part.bytes()).chain(std::iter::repeat_n(b'0', most - part.len()));
    let amount = minor.into_iter().try_fold(0_i64, |amount, digit| {
        amount.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    });
    amount
        .filter(|amount| *amount <= MAX_AMOUNT)
        .ok_or_else(|| format!("{name} is over {MAX_AMOUNT} minor units: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Result<i64, String> {
        parse("price", text, Currency::USD)
    }

    #[test]
    fn amounts_are_exact() {
        for (text, minor) in [
            ("0", 0),
            ("0.00", 0),
            ("1", 100),
            ("1.5", 150),
            ("0.29", 29),
            ("007.05", 705),
            ("90071992547409.91", MAX_AMOUNT),
        ] {
            assert_eq!(usd(text), Ok(minor), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            ".5",
            "1.",
            "1e3",
            "1E3",
            "-1.00",
            "-0",
            "+1",
            "1.999",
            "1.990",
            "1,00",
            "1 000",
            " 1",
            "$1",
            "0x10",
            "NaN",
            "inf",
            "1.0.0",
            "١",
            "90071992547409.92",
            "99999999999999999999999999",
        ] {
            assert!(usd(text).is_err(), "{text}");
        }
        assert_eq!(usd("-1.00").unwrap_err(), "price must not be below 0, and is \"-1.00\"");
        assert_eq!(
            usd("1.999").unwrap_err(),
            "price has at most 2 digits behind the point in USD, and is \"1.999\""
        );
        assert_eq!(usd("1e3").unwrap_err(), "price must be an amount such as 12.34, not \"1e3\"");
    }

    #[test]
    fn a_currency_has_its_own_digits() {
        let in_currency = |code: &str, text| parse("price", text, code.parse().unwrap());
        assert_eq!(in_currency("JPY", "500"), Ok(500));
        assert!(in_currency("JPY", "500.0").is_err());
        assert_eq!(in_currency("KWD", "1.5"), Ok(1_500));
        assert_eq!(in_currency("CLF", "1.2345"), Ok(12_345));
        assert_eq!(in_currency("EUR", "1.5"), Ok(150));
    }

    proptest::proptest! {
        #[test]
        fn whatever_was_written_is_read_back(minor in 0..=MAX_AMOUNT) {
            let text = format!("{}.{:02}", minor / 100, minor % 100);
            proptest::prop_assert_eq!(usd(&text), Ok(minor));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,24}") {
            if let Ok(minor) = usd(&text) {
                proptest::prop_assert!((0..=MAX_AMOUNT).contains(&minor));
            }
        }
    }
}
