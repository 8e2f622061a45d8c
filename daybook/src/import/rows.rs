//! Columns by name, and rows one by one.

use csv::StringRecord;

use super::{
    Step, Steps,
    input::{Input, InputError, Row},
};
use crate::failure::Failure;

/// Where the wanted columns stand, and which others there are.
#[derive(Debug)]
pub(super) struct Found<const N: usize> {
    pub(super) at: [usize; N],
    pub(super) others: Vec<(usize, String)>,
    /// How many values a row has.
    pub(super) width: usize,
}

/// Finds the columns by their names, in any sequence.
///
/// # Errors
/// [`Failure::Usage`] naming what is missing or stands there twice.
pub(super) fn find<const N: usize>(
    header: &StringRecord,
    wanted: [&str; N],
) -> Result<Found<N>, Failure> {
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    if let Some((at, name)) =
        names.iter().enumerate().find(|(at, name)| names[..*at].contains(name))
    {
        return Err(Failure::usage(format!("column {} is named {name:?} like another", at + 1)));
    }
    let missing: Vec<_> = wanted.iter().filter(|name| !names.contains(name)).copied().collect();
    if !missing.is_empty() {
        return Err(Failure::usage(format!(
            "the file has no column {}; it has {}",
            missing.join(", "),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )));
    }
    let place = |wanted| names.iter().position(|name| *name == wanted).unwrap_or(usize::MAX);
    let others = names.iter().enumerate().filter(|(_, name)| !wanted.contains(name));
    Ok(Found {
        at: wanted.map(place),
        others: others.map(|(at, name)| (at, (*name).to_owned())).collect(),
        width: names.len(),
    })
}

impl<const N: usize> Found<N> {
    /// The wanted values of a row, in the sequence in which the columns were asked for.
    pub(super) fn values<'a>(&self, row: &'a Row) -> Result<[&'a str; N], String> {
        let found = row.values.len();
        if found != self.width {
            return Err(format!("the row has {found} values, the header has {}", self.width));
        }
        Ok(self.at.map(|at| row.values.get(at).unwrap_or_default()))
    }

    pub(super) fn ignored(&self) -> Vec<String> {
        self.others.iter().map(|(_, name)| name.clone()).collect()
    }
}

/// One step a row.
pub(super) fn each(
    input: &mut Input,
    to: &Steps,
    step: impl Fn(&Row) -> Step,
) -> Result<(), InputError> {
    while let Some(row) = input.next()? {
        if !to.give(step(&row)) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> StringRecord {
        StringRecord::from(names.to_vec())
    }

    #[test]
    fn columns_are_found_in_any_sequence() {
        let found = find(&header(&["c", " b ", "x", "a"]), ["a", "b"]).unwrap();
        assert_eq!(found.at, [3, 1]);
        assert_eq!(found.ignored(), ["c", "x"]);
        let row = Row { line: 2, values: header(&["1", "2", "3", "4"]) };
        assert_eq!(found.values(&row).unwrap(), ["4", "2"]);
        let short = Row { line: 2, values: header(&["1", "2"]) };
        assert_eq!(found.values(&short).unwrap_err(), "the row has 2 values, the header has 4");
    }

    #[test]
    fn missing_and_doubled_columns_are_named() {
        let error = find(&header(&["a", "x"]), ["a", "b", "c"]).unwrap_err();
        assert_eq!(error.to_string(), "the file has no column b, c; it has a, x");
        assert!(matches!(error, Failure::Usage(_)));
        let error = find(&header(&["a", "b", "a"]), ["a"]).unwrap_err();
        assert_eq!(error.to_string(), "column 3 is named \"a\" like another");
        let error = find(&header(&[]), ["a"]).unwrap_err();
        assert_eq!(error.to_string(), "the file has no column a; it has none");
    }
}
