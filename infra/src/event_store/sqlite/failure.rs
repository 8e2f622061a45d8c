//! What an error of SQLite means for those who wait.

use rusqlite::{Error, ErrorCode, ffi};

use super::super::AppendError;

/// Where in the transaction the error was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before COMMIT: nothing stands in the log.
    Writing,
    /// At COMMIT.
    Committing,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Roll back, answer this, go on.
    Answer(AppendError),
    /// What is durable is no longer known: end the process and say why.
    Fatal(String),
}

/// Judges an error of the writer.
///
/// After a failed sync the system may have dropped the pages it could not write, so that a later
/// sync succeeds and proves nothing (Rebello et al., "Can Applications Recover from fsync
/// Failures?", 2020). A full disk is met before the frame that commits is whole, so nothing was
/// written; if only the WAL's index found no room, that frame may already be there.
pub(super) fn judge(error: &Error, stage: Stage) -> Failure {
    let reason = error.to_string();
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    match (stage, error.sqlite_error_code()) {
        _ if is_failed_sync(error) => Failure::Fatal(reason),
        (_, Some(ErrorCode::DiskFull)) => Failure::Answer(AppendError::Full(reason)),
        (Stage::Writing, _) if extended == ffi::SQLITE_IOERR_SHMSIZE => {
            Failure::Answer(AppendError::Full(reason))
        }
        (Stage::Writing, _) => Failure::Answer(AppendError::Unavailable(reason)),
        (Stage::Committing, Some(ErrorCode::SystemIoFailure))
            if extended != ffi::SQLITE_IOERR_SHMSIZE =>
        {
            Failure::Fatal(reason)
        }
        (Stage::Committing, _) => Failure::Answer(AppendError::Unknown(reason)),
    }
}

/// Whether a sync failed.
pub(super) fn is_failed_sync(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        matches!(error.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    })
}

/// Ends the process; nothing that was not acknowledged gets acknowledged.
pub(super) fn end_process(reason: &str) -> ! {
    eprintln!(
        "daybook: the event store's disk failed, what is durable is not known any more: {reason}. \
         Nothing was acknowledged since; check the disk, then start again."
    );
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_failed_sync_is_fatal_wherever_it_is_met() {
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            for stage in [Stage::Writing, Stage::Committing] {
                assert!(matches!(judge(&error(code), stage), Failure::Fatal(_)), "{code}");
            }
        }
    }

    #[test]
    fn any_io_error_at_commit_is_fatal() {
        for code in [ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMMAP] {
            assert!(matches!(judge(&error(code), Stage::Committing), Failure::Fatal(_)), "{code}");
            let before = judge(&error(code), Stage::Writing);
            assert!(matches!(before, Failure::Answer(AppendError::Unavailable(_))), "{code}");
        }
    }

    #[test]
    fn a_full_disk_is_answered_and_an_unclear_commit_said_to_be_unknown() {
        for stage in [Stage::Writing, Stage::Committing] {
            let full = judge(&error(ffi::SQLITE_FULL), stage);
            assert!(matches!(full, Failure::Answer(AppendError::Full(_))));
        }
        let index = error(ffi::SQLITE_IOERR_SHMSIZE);
        assert!(matches!(judge(&index, Stage::Writing), Failure::Answer(AppendError::Full(_))));
        for code in [ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_BUSY, ffi::SQLITE_CORRUPT] {
            let unclear = judge(&error(code), Stage::Committing);
            assert!(matches!(unclear, Failure::Answer(AppendError::Unknown(_))), "{code}");
        }
    }
}
