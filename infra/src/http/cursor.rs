use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Faults;

/// Where a page ended: the sort key of its last row. Opaque to clients, and bound to the filters
/// and sort that it was made under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Vec<CursorValue>);

/// One column of a sort key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CursorValue {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<i64> for CursorValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for CursorValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for CursorValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl Cursor {
    /// The text of a cursor; `fingerprint` names the list, its filters and its sort.
    pub fn encode(fingerprint: &str, values: &[CursorValue]) -> String {
        let json = serde_json::to_vec(&(bind(fingerprint), values)).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads the cursor that a caller sent in the parameter `cursor`. One that is garbage or was
    /// made under another fingerprint is a fault.
    pub fn decode(text: &str, fingerprint: &str, faults: &mut Faults) -> Option<Self> {
        let read = || {
            let json = URL_SAFE_NO_PAD.decode(text).ok()?;
            serde_json::from_slice::<(String, Vec<CursorValue>)>(&json).ok()
        };
        match read() {
            Some((bound, values)) if bound == bind(fingerprint) => return Some(Self(values)),
            Some(_) => faults.parameter(
                "cursor",
                "belongs to other filters or another sort; send the same parameters as with the page before, or no cursor",
            ),
            None => faults.parameter(
                "cursor",
                "cannot be read; send next of the page before as it was, or no cursor",
            ),
        }
        None
    }
}

fn bind(fingerprint: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(fingerprint.as_bytes())[..9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        let values = vec![CursorValue::Int(-5), CursorValue::Text("caf\u{e9}".to_owned())];
        let text = Cursor::encode("orders?status=placed", &values);
        let read = Cursor::decode(&text, "orders?status=placed", &mut Faults::new());
        assert_eq!(read, Some(Cursor(values)));
    }

    #[test]
    fn garbage_and_other_lists_cursors_are_faults() {
        let text = Cursor::encode("a", &[CursorValue::Int(1)]);
        for (sent, fingerprint) in
            [(text.as_str(), "b"), ("garbage!", "a"), ("", "a"), ("e30", "a")]
        {
            let mut faults = Faults::new();
            assert_eq!(Cursor::decode(sent, fingerprint, &mut faults), None);
            assert_eq!(faults.len(), 1);
        }
    }
}
