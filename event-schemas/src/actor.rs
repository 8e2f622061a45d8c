use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who acted, and how well that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// The actor's id within its kind.
    pub id: String,
    /// What kind of actor it is.
    pub kind: ActorKind,
    /// How the identity was shown: what was merely claimed can be told from what was proved.
    pub proof: Proof,
}

/// The kinds of actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person.
    User,
    /// Another program.
    Service,
    /// One of Daybook's own processes.
    System,
    /// An import of past facts.
    Import,
}

/// How an actor's identity was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Not at all.
    None,
    /// By a request header: claimed, not proved.
    Header,
    /// By an access token.
    Token,
    /// By an API key.
    Key,
}

impl ActorKind {
    /// Its name, as it stands in the metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::System => "system",
            Self::Import => "import",
        }
    }
}

impl Proof {
    /// Its name, as it stands in the metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Header => "header",
            Self::Token => "token",
            Self::Key => "key",
        }
    }
}

impl Actor {
    /// One of Daybook's own processes, by its name.
    pub fn system(process: &str) -> Self {
        Self { id: process.to_owned(), kind: ActorKind::System, proof: Proof::None }
    }

    /// An import; `kind` is what it imports.
    pub fn import(kind: &str) -> Self {
        Self { id: kind.to_owned(), kind: ActorKind::Import, proof: Proof::None }
    }
}
