use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who has what only one in the shop can have. A claim is of one command of one owner: another
/// command of the same owner does not share it, because the two can be abandoned apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The id of the product or user that owns it.
    pub owner: String,
    /// The command that made the claim.
    pub command: Uuid,
}

/// What a claim leads to.
pub(crate) enum Claiming {
    /// It is free, or its claim was abandoned: it can be had.
    Granted,
    /// This very claim stands already.
    Stands,
}

/// Decides `wanted` against the claim that `held` names, which falls if it is of the command
/// `abandoned`.
pub(crate) fn claim(
    held: Option<&Claim>,
    wanted: &Claim,
    abandoned: Option<Uuid>,
) -> Result<Claiming, Claim> {
    match held {
        None => Ok(Claiming::Granted),
        Some(held) if held == wanted => Ok(Claiming::Stands),
        Some(held) if Some(held.command) == abandoned => Ok(Claiming::Granted),
        Some(held) => Err(held.clone()),
    }
}
