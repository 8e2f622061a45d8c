use std::{borrow::Cow, fmt::Write as _};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{BAD_REQUEST, Problem, ProblemKind};

/// The most faults that one problem lists.
const MOST: usize = 20;

/// One thing that is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong and what to do about it, for a person.
    pub detail: String,
    /// Where it is.
    pub at: At,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A place in the body: a JSON pointer as a URI fragment, `#/lines/0/quantity`.
    Pointer(String),
    /// A parameter of the query string.
    Parameter(String),
    /// A header.
    Header(&'static str),
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("detail", &self.detail)?;
        match &self.at {
            At::Pointer(pointer) => map.serialize_entry("pointer", pointer)?,
            At::Parameter(name) => map.serialize_entry("parameter", name)?,
            At::Header(name) => map.serialize_entry("header", name)?,
        }
        map.end()
    }
}

/// The faults of one request, collected so that all are told at once; the first 20 are kept, all
/// are counted.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    kept: Vec<Fault>,
    count: usize,
}

impl Faults {
    /// None yet.
    pub const fn new() -> Self {
        Self { kept: Vec::new(), count: 0 }
    }

    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.count += 1;
        if self.kept.len() < MOST {
            self.kept.push(fault);
        }
    }

    /// Adds one at a place in the body; the pointer is a URI fragment.
    pub fn pointer(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.push(Fault { detail: detail.into(), at: At::Pointer(pointer.into()) });
    }

    /// Adds one at a parameter of the query string.
    pub fn parameter(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.push(Fault { detail: detail.into(), at: At::Parameter(name.into()) });
    }

    /// Adds one at a header.
    pub fn header(&mut self, name: &'static str, detail: impl Into<String>) {
        self.push(Fault { detail: detail.into(), at: At::Header(name) });
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        faults.into_iter().for_each(|fault| self.push(fault));
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are, those that are not kept included.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Those that are kept.
    pub fn as_slice(&self) -> &[Fault] {
        &self.kept
    }

    /// Goes on only if there is no fault.
    ///
    /// # Errors
    /// 400 `bad-request` with all of them.
    pub fn check(self) -> Result<(), Problem> {
        self.check_as(&BAD_REQUEST)
    }

    /// Goes on only if there is no fault.
    ///
    /// # Errors
    /// A problem of `kind` with all of them.
    pub fn check_as(self, kind: &'static ProblemKind) -> Result<(), Problem> {
        if self.is_empty() { Ok(()) } else { Err(self.into_problem(kind)) }
    }

    /// The problem that lists them.
    pub fn into_problem(self, kind: &'static ProblemKind) -> Problem {
        let detail = match (self.count, self.kept.first()) {
            (1, Some(only)) => only.detail.clone(),
            (count, _) if count > self.kept.len() => format!(
                "The request has {count} faults; the first {} are listed in errors. Correct them and send it again.",
                self.kept.len()
            ),
            (count, _) => format!(
                "The request has {count} faults, listed in errors. Correct them and send it again."
            ),
        };
        Problem::new(kind, detail).errors(self.kept)
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        let mut all = Self::new();
        all.extend(faults);
        all
    }
}

/// The pointer of a member or element of what `parent` (a URI fragment such as `#/lines`) points
/// to: `~` and `/` are escaped as RFC 6901 says, and what may not stand in a fragment as RFC 3986
/// says.
pub fn member_pointer(parent: &str, name: &str) -> String {
    let parent = if parent.is_empty() { "#" } else { parent };
    let mut pointer = String::with_capacity(parent.len() + 1 + name.len());
    pointer.push_str(parent);
    pointer.push('/');
    let escaped: Cow<'_, str> = if name.contains(['~', '/']) {
        name.replace('~', "~0").replace('/', "~1").into()
    } else {
        name.into()
    };
    for byte in escaped.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
            pointer.push(char::from(byte));
        } else {
            let _ = write!(pointer, "%{byte:02X}");
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_fragments() {
        assert_eq!(member_pointer("#", "lines"), "#/lines");
        assert_eq!(member_pointer("#/lines", "0"), "#/lines/0");
        assert_eq!(member_pointer("", "a/b~c"), "#/a~1b~0c");
        assert_eq!(member_pointer("#", "a b\u{e9}%"), "#/a%20b%C3%A9%25");
    }

    #[test]
    fn twenty_are_kept_and_all_are_counted() {
        let mut faults = Faults::new();
        for at in 0..21 {
            faults.pointer(format!("#/{at}"), "no");
        }
        assert_eq!((faults.len(), faults.as_slice().len()), (21, 20));
        let problem = faults.into_problem(&BAD_REQUEST);
        assert!(problem.detail().contains("21 faults; the first 20"));
    }

    #[test]
    fn a_single_fault_is_the_detail() {
        let mut faults = Faults::new();
        faults.header("If-Match", "is no entity tag");
        assert_eq!(faults.check().unwrap_err().detail(), "is no entity tag");
    }
}
