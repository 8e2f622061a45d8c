/// A document as it is put into an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its id; a document with the same id is replaced.
    pub id: String,
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
    /// Takes the document with this id away.
    Delete(String),
}

/// A document read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// The flags that are set, in the schema's sequence.
    pub flags: Vec<&'static str>,
    /// What was handed in: JSON.
    pub body: String,
}
