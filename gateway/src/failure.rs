//! Errors as the real server words them: a status, and trailers that its clients look at.

use infra::event_store::{AppendError, MAX_APPEND_BYTES, ReadError};
use tonic::{Code, Status, metadata::MetadataValue};

fn with(code: Code, message: impl Into<String>, trailers: &[(&'static str, &str)]) -> Status {
    let mut status = Status::new(code, message);
    for &(name, value) in trailers {
        // What is no text for a header (a stream's name may be anything) is left out.
        if let Ok(value) = MetadataValue::try_from(value) {
            status.metadata_mut().insert(name, value);
        }
    }
    status
}

pub(crate) fn access_denied() -> Status {
    with(Code::PermissionDenied, "Access Denied", &[("exception", "access-denied")])
}

pub(crate) fn too_large() -> Status {
    with(
        Code::InvalidArgument,
        format!("Maximum Append Size of {MAX_APPEND_BYTES} Exceeded."),
        &[
            ("exception", "maximum-append-size-exceeded"),
            ("maximum-append-size", &MAX_APPEND_BYTES.to_string()),
        ],
    )
}

pub(crate) fn missing_metadata(property: &str) -> Status {
    with(
        Code::InvalidArgument,
        format!("Required Metadata Property '{property}' is missing"),
        &[
            ("exception", "missing-required-metadata-property"),
            ("required-metadata-properties", "type,content-type"),
        ],
    )
}

pub(crate) fn ending() -> Status {
    Status::unavailable("Server Is Not Ready")
}

pub(crate) fn read(error: &ReadError) -> Status {
    match error {
        ReadError::Closed => ending(),
        ReadError::Unavailable(_) => {
            tracing::error!(%error, "a read through the gateway failed");
            Status::unavailable(error.to_string())
        }
    }
}

/// Why an append failed, apart from a conflict, which is answered in the body.
pub(crate) fn append(error: &AppendError) -> Status {
    match error {
        AppendError::TooLarge { .. } => too_large(),
        AppendError::Busy => Status::unavailable("Server Is Too Busy"),
        AppendError::Closed => ending(),
        AppendError::ReadOnly => access_denied(),
        // What the real server says when it does not know whether a write was committed.
        AppendError::Unknown(reason) => {
            tracing::error!(reason, "the outcome of an append through the gateway is unknown");
            Status::aborted(format!("Operation timed out: {reason}"))
        }
        AppendError::Full(_) | AppendError::Unavailable(_) => {
            tracing::error!(%error, "an append through the gateway failed");
            Status::unavailable(error.to_string())
        }
        AppendError::NoEvents | AppendError::Conflict { .. } => Status::internal(error.to_string()),
    }
}
