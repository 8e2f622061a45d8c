use serde::{Deserialize, Serialize};

/// Which code has made what is stored and can be posted anew: lines with its version, what a query
/// can ask for, and whatever else distinguishes it. Equal only where what is stored means the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fingerprint(pub(crate) String);

impl Fingerprint {
    /// `shape` has no line feed.
    pub(crate) fn new(version: u32, shape: &str, rest: &str) -> Self {
        Self(format!("version {version}\n{shape}\n{rest}"))
    }

    /// Whether this code's queries can read what bears the other one, whatever code has posted it.
    pub(crate) fn reads(&self, found: &Self) -> bool {
        self.shape().is_some_and(|shape| found.shape() == Some(shape))
    }

    /// Whether code behind the other's has made it.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.version() > other.version()
    }

    fn version(&self) -> Option<u32> {
        self.0.lines().next()?.strip_prefix("version ")?.parse().ok()
    }

    fn shape(&self) -> Option<&str> {
        self.version().and_then(|_| self.0.lines().nth(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn what_has_the_same_shape_is_read_whatever_its_version() {
        let own = Fingerprint::new(2, "notes: id, size", "by size");
        let older = Fingerprint::new(1, "notes: id, size", "");
        assert!(own.reads(&older) && older.reads(&own));
        assert!(own.is_newer_than(&older) && !older.is_newer_than(&own));
        assert!(!own.reads(&Fingerprint::new(2, "notes: id", "by size")));
    }

    #[test]
    fn what_is_no_fingerprint_of_ours_is_older_and_not_read() {
        let own = Fingerprint::new(1, "", "");
        for other in ["", "version x\n\n", "Schema { version: 3, tables: [] }"] {
            let other = Fingerprint(other.to_owned());
            assert!(!own.reads(&other) && own.is_newer_than(&other), "{other:?}");
        }
    }
}
