//! The audit: a Merkle tree over the whole log in its order, in the manner of Certificate
//! Transparency (RFC 6962, RFC 9162), its signed heads, and what can be shown by them.
//!
//! Pure: hashes, covers, proofs, heads. With effects: the tree on disk, the keeper that follows the
//! log, verifying, exporting, restoring.

pub mod backup;
pub mod check;
pub mod cover;
pub mod document;
pub mod export;
pub mod hash;
mod hashing;
pub mod head;
mod keeper;
pub mod proof;
mod prove;
mod publish;
pub mod restore;
mod stored;
mod verify;

pub use document::{EventDocument, EventName, ProofDocument, Unproven};
pub use hash::Hash;
pub use head::{HeadSigner, InvalidKey, PublicKey, SignedHead};
pub use keeper::{
    Keeper, KeeperError, KeeperSettings, KeeperState, KeeperStatus, Signed, sign_now, tree_of_log,
};
pub use prove::{ProveError, consistent, prove};
pub use publish::{Publish, PublishTo};
pub use stored::{GrowingTree, StoredTree};
pub use verify::{At, Difference, Verified, VerifyError, verify};
