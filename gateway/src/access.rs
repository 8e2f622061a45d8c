use std::{fmt, str::FromStr};

use crate::failure::Failure;

/// What clients of the gateway may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read and subscribe.
    #[default]
    Read,
    /// Append too, but not to the streams of metadata (`$$stream`), which can hide events.
    Append,
    /// Delete streams and write their metadata too.
    All,
}

impl Access {
    /// Whether others than Daybook itself may write.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }

    /// Refuses what needs more than is allowed.
    pub(crate) fn require(self, needed: Self) -> Result<(), Failure> {
        if self >= needed { Ok(()) } else { Err(Failure::AccessDenied) }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::All => "all",
        })
    }
}

impl FromStr for Access {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "append" => Ok(Self::Append),
            "all" => Ok(Self::All),
            _ => Err(format!("{text:?} is none of read, append, all")),
        }
    }
}
