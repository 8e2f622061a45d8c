use std::{io, path::PathBuf};

use rusqlite::{ErrorCode, ffi};
use thiserror::Error;

/// Why the key store failed.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The person was forgotten.
    #[error("the key of this person was destroyed: nothing can be sealed for them any more")]
    Destroyed,
    /// Not sealed under this key and associated data.
    #[error("the value was not sealed under this key for this event, or was changed")]
    Invalid,
    /// It is wrapped by a master key, and none was given.
    #[error(
        "it is wrapped by the master key with the fingerprint {needed}: give that one with --master-key"
    )]
    MasterKeyNeeded {
        /// The fingerprint of the one that it is wrapped by.
        needed: String,
    },
    /// It is wrapped by another master key than was given.
    #[error(
        "it is wrapped by the master key with the fingerprint {needed}, and {given} was given: give \
         the one that it is wrapped by with --master-key"
    )]
    OtherMasterKey {
        /// The fingerprint of the one that it is wrapped by.
        needed: String,
        /// The fingerprint of the one that was given.
        given: String,
    },
    /// A master key was given, and it is not wrapped by any.
    #[error(
        "it is not wrapped by a master key yet: leave --master-key out, or give it one with \
         `daybook keys rotate --new-master-key FILE`"
    )]
    NotWrapped,
    /// The master key was changed while this process was running.
    #[error("its master key was rotated: start this process again, with the new one")]
    Rotated,
    /// A newer Daybook wrote it.
    #[error(
        "the key store has format {found}, this version of Daybook knows up to {known}: use the newer version"
    )]
    NewerVersion {
        /// The format found.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is something else.
    #[error("{} is no Daybook key store: name another file", .0.display())]
    NotAKeyStore(PathBuf),
    /// The file cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The disk is full; it works again as soon as there is room.
    #[error("the key store's disk is full, make room on it: {0}")]
    Full(rusqlite::Error),
    /// SQLite cannot use the file at the moment.
    #[error("the key store cannot be used: {0}")]
    Sqlite(rusqlite::Error),
    /// The system has no randomness.
    #[error("no random bytes for a new key: {0}")]
    Random(#[from] getrandom::Error),
    /// MySQL or MariaDB cannot be reached now.
    #[error("{url}: {reason}")]
    Away {
        /// The database, without the password.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// MySQL or MariaDB does not do what it is asked for, or lets us not in.
    #[error("{url}: {reason}")]
    Mysql {
        /// The database, without the password.
        url: String,
        /// What the server or the system said.
        reason: String,
    },
    /// The database is something else's, or a newer Daybook's.
    #[error(
        "{0} holds something else, or keys of a newer version of Daybook; name the key store's own database"
    )]
    NotAKeyDatabase(String),
    /// The work was given up, as at the end of the process.
    #[error("the key store is shutting down")]
    Interrupted,
}

impl From<rusqlite::Error> for KeysError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map(|error| error.extended_code);
        // A WAL's index without room is a full disk, too.
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull)
            || extended == Some(ffi::SQLITE_IOERR_SHMSIZE);
        if full { Self::Full(error) } else { Self::Sqlite(error) }
    }
}
