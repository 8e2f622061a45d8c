use event_schemas::Position;

/// A document as it is put into an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its id, which does not begin with a dot; a document with the same id is replaced.
    pub id: String,
    /// The place of the last event that is in it. An engine that cannot commit documents and
    /// checkpoint together keeps what it has from being replaced by something older.
    pub position: Position,
    /// Text by field; several texts of one field are read one after the other.
    pub texts: Vec<(&'static str, String)>,
    /// Keywords by field; empty values are left out.
    pub keywords: Vec<(&'static str, String)>,
    /// Integers by field.
    pub integers: Vec<(&'static str, i64)>,
    /// The flags that are set.
    pub flags: Vec<&'static str>,
    /// What is handed back: JSON.
    pub body: String,
}

/// One change of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Puts a document in the place of the one with its id, if there is one.
    Put(Document),
    /// Takes a document away.
    Delete {
        /// Its id.
        id: String,
        /// The place of the event that takes it away.
        position: Position,
    },
}

/// A document read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Whatever concerns it up to this place is in it; it may be beyond the checkpoint.
    pub position: Position,
    /// The flags that are set, in the schema's sequence.
    pub flags: Vec<&'static str>,
    /// What was handed in: JSON.
    pub body: String,
}

impl Change {
    /// The document that it changes.
    pub fn id(&self) -> &str {
        match self {
            Self::Put(document) => &document.id,
            Self::Delete { id, .. } => id,
        }
    }
}
