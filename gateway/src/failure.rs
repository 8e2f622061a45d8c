//! Errors as the real server words them: a status, and trailers that its clients look at. (A wrong
//! expected version of an append is no error but an answer.)

use event_schemas::{ExpectedRevision, InvalidName, Revision, StreamName};
use infra::event_store::{AppendError, MAX_APPEND_BYTES, ReadError};
use thiserror::Error;
use tonic::{Code, Status, metadata::MetadataValue};

/// Why a call failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Failure {
    #[error("Access Denied")]
    AccessDenied,
    #[error("Event stream '{0}' is deleted.")]
    StreamDeleted(StreamName),
    /// Of a delete or tombstone; the numbers are the real server's, below zero for what is none.
    #[error(
        "Delete failed due to WrongExpectedVersion. Stream: {stream}, Expected version: \
         {}, Actual version: {}", version(*expected), actual.map_or(-1, number)
    )]
    WrongExpectedVersion {
        stream: StreamName,
        expected: ExpectedRevision,
        actual: Option<Revision>,
    },
    #[error("Maximum Append Size of {MAX_APPEND_BYTES} Exceeded.")]
    TooLarge,
    #[error("Required Metadata Property '{0}' is missing")]
    MissingMetadata(&'static str),
    /// The request makes no sense; says why.
    #[error("{0}")]
    Invalid(String),
    /// The gateway is closing; a client finds it, or another, later.
    #[error("Server Is Not Ready")]
    NotReady,
    #[error("Server Is Too Busy")]
    Busy,
    /// Too much is asked at once.
    #[error("{0}")]
    Exhausted(&'static str),
    /// Whether the events were written is not known.
    #[error("Operation timed out: {0}")]
    Unknown(String),
    #[error("Deadline Exceeded")]
    Deadline,
    /// The store cannot be read or written at the moment.
    #[error("{0}")]
    Unavailable(String),
}

impl Failure {
    pub(crate) fn missing(what: &str) -> Self {
        Self::Invalid(format!("'{what}' is a required argument"))
    }

    const fn code(&self) -> Code {
        match self {
            Self::AccessDenied => Code::PermissionDenied,
            Self::StreamDeleted(_) | Self::WrongExpectedVersion { .. } => Code::FailedPrecondition,
            Self::TooLarge | Self::MissingMetadata(_) | Self::Invalid(_) => Code::InvalidArgument,
            Self::NotReady | Self::Busy | Self::Unavailable(_) => Code::Unavailable,
            Self::Exhausted(_) => Code::ResourceExhausted,
            Self::Unknown(_) => Code::Aborted,
            Self::Deadline => Code::DeadlineExceeded,
        }
    }

    /// What clients look at instead of the message.
    fn trailers(&self) -> Vec<(&'static str, String)> {
        let exception = |name: &str| ("exception", name.to_owned());
        let stream_name = |stream: &StreamName| ("stream-name", stream.to_string());
        match self {
            Self::AccessDenied => vec![exception("access-denied")],
            Self::StreamDeleted(stream) => vec![exception("stream-deleted"), stream_name(stream)],
            Self::WrongExpectedVersion { stream, expected, actual } => vec![
                exception("wrong-expected-version"),
                stream_name(stream),
                ("expected-version", version(*expected).to_string()),
                ("actual-version", actual.map_or(-1, number).to_string()),
            ],
            Self::TooLarge => vec![
                exception("maximum-append-size-exceeded"),
                ("maximum-append-size", MAX_APPEND_BYTES.to_string()),
            ],
            Self::MissingMetadata(_) => vec![
                exception("missing-required-metadata-property"),
                ("required-metadata-properties", "type,content-type".to_owned()),
            ],
            _ => Vec::new(),
        }
    }
}

/// An expectation as a number, as the real server tells it.
const fn version(expected: ExpectedRevision) -> i64 {
    match expected {
        ExpectedRevision::Exact(revision) => number(revision),
        ExpectedRevision::NoStream => -1,
        ExpectedRevision::Any => -2,
        ExpectedRevision::StreamExists => -4,
    }
}

const fn number(revision: Revision) -> i64 {
    revision.0.cast_signed()
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut status = Self::new(failure.code(), failure.to_string());
        for (name, value) in failure.trailers() {
            // What is no text for a header (a stream's name may be anything) is left out.
            if let Ok(value) = MetadataValue::try_from(value) {
                status.metadata_mut().insert(name, value);
            }
        }
        status
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Self::NotReady,
            ReadError::Unavailable(_) => {
                tracing::error!(%error, "a read through the gateway failed");
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl Failure {
    /// Of an append to this stream, where it is no conflict.
    pub(crate) fn of_append(stream: &StreamName, error: AppendError) -> Self {
        match error {
            AppendError::StreamDeleted => Self::StreamDeleted(stream.clone()),
            AppendError::TooLarge { .. } => Self::TooLarge,
            AppendError::Busy => Self::Busy,
            AppendError::Closed => Self::NotReady,
            AppendError::ReadOnly => Self::AccessDenied,
            AppendError::Unknown(reason) => {
                tracing::error!(%stream, reason, "an append's outcome is unknown");
                Self::Unknown(reason)
            }
            AppendError::Full(_) | AppendError::Unavailable(_) => {
                tracing::error!(%stream, %error, "an append through the gateway failed");
                Self::Unavailable(error.to_string())
            }
            AppendError::NoEvents | AppendError::Conflict { .. } => {
                Self::Invalid(error.to_string())
            }
        }
    }
}
