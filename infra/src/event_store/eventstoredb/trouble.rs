//! What can come of a call, and the two things that the client leaves to its callers: an end to
//! waiting, and an answer that it cannot read and panics at.

use std::{panic::AssertUnwindSafe, time::Duration};

use event_schemas::Revision;
use eventstore::{CurrentRevision, Endpoint};
use futures::FutureExt;
use thiserror::Error;
use tonic::Code;

/// Why a call has not succeeded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It was not carried out: no node could be asked, or not this one.
    #[error("{reason}")]
    NotDone { reason: String, leader: Option<Endpoint> },
    /// There was no answer in time; it may have been carried out or not.
    #[error("the server did not answer within {0:?}")]
    TimedOut(Duration),
    /// The connection or the server failed; it may have been carried out or not.
    #[error("{0}")]
    Broken(String),
    /// There is an answer that the client cannot read.
    #[error("the server's answer cannot be read")]
    Unreadable,
    /// The stream is elsewhere than was expected.
    #[error("the stream is not where it was expected")]
    Conflict(Option<Revision>),
    /// There is no such stream.
    #[error("there is no such stream")]
    NotFound,
    /// The stream was deleted for good.
    #[error("the stream was deleted for good (it has a tombstone)")]
    Deleted,
    /// The server has too much to do.
    #[error("the server is too busy")]
    Busy,
    /// An append is larger than the server allows.
    #[error("{0}")]
    TooLarge(String),
    /// The server will not do it, however often it is asked.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    pub(super) fn not_done(reason: impl Into<String>) -> Self {
        Self::NotDone { reason: reason.into(), leader: None }
    }

    /// Whether another node, or the same over a new connection, may fare better.
    pub(super) fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::NotDone { .. } | Self::TimedOut(_) | Self::Broken(_))
    }
}

/// Awaits a call of the client, so long and no longer.
pub(super) async fn call<T>(
    limit: Duration,
    work: impl Future<Output = eventstore::Result<T>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(error.into()),
        Ok(Err(_panicked)) => Err(Trouble::Unreadable),
        Err(_) => Err(Trouble::TimedOut(limit)),
    }
}

impl From<eventstore::Error> for Trouble {
    fn from(error: eventstore::Error) -> Self {
        use eventstore::Error as E;
        match error {
            E::NotLeaderException(leader) => Self::NotDone {
                reason: "the node is not the leader".to_owned(),
                leader: Some(leader),
            },
            E::ConnectionClosed => Self::not_done("the connection is closed"),
            E::GrpcConnectionError(error) => Self::not_done(error.to_string()),
            // The client keeps nothing of a status but its text.
            E::ServerError(text) if text.contains("Server Is Too Busy") => Self::Busy,
            E::ServerError(text) if text.contains("Server Is Not Ready") => {
                Self::not_done("the server is not ready")
            }
            // So says the client's own connector when there was nobody to send to.
            E::ServerError(text) if text.contains("client error (Connect)") => {
                Self::not_done(brief(&text))
            }
            E::ServerError(text) => Self::Broken(brief(&text)),
            E::DeadlineExceeded => Self::Broken("the server gave up in time".to_owned()),
            E::WrongExpectedVersion { current, .. } => Self::Conflict(match current {
                CurrentRevision::Current(revision) => Some(Revision(revision)),
                CurrentRevision::NoStream => None,
            }),
            E::ResourceNotFound => Self::NotFound,
            E::ResourceDeleted => Self::Deleted,
            E::AccessDenied => Self::Refused(
                "the server denies access: check the credentials in the URL, and that they may \
                 read $all"
                    .to_owned(),
            ),
            E::Grpc { code: Code::Aborted | Code::Cancelled, message } => Self::Broken(message),
            E::Grpc { code: Code::ResourceExhausted, .. } => Self::Busy,
            E::Grpc { code: Code::InvalidArgument, message }
                if message.starts_with("Maximum Append Size") =>
            {
                Self::TooLarge(message)
            }
            E::Grpc { code, message } => Self::Refused(format!("{code:?}: {message}")),
            error @ (E::InternalParsingError(_)
            | E::ResourceAlreadyExists
            | E::UnsupportedFeature
            | E::InternalClientError
            | E::InitializationError(_)
            | E::IllegalStateError(_)) => Self::Refused(error.to_string()),
        }
    }
}

/// A status's text without what only a debugger reads.
fn brief(status: &str) -> String {
    status.split(", details: ").next().unwrap_or(status).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_ends_in_time_and_a_panic_is_an_answer() {
        let limit = Duration::from_millis(20);
        let never = std::future::pending::<eventstore::Result<()>>();
        assert_eq!(call(limit, never).await, Err(Trouble::TimedOut(limit)));
        let panics = async { panic!("called unwrap on None") };
        assert_eq!(call::<()>(limit, panics).await, Err(Trouble::Unreadable));
        assert_eq!(call(limit, async { Ok(7) }).await, Ok(7));
    }

    #[test]
    fn only_what_another_connection_can_help_is_of_the_connection() {
        use eventstore::Error as E;
        let of = |error: E| Trouble::from(error).is_of_the_connection();
        let status =
            |text: &str| E::ServerError(format!("status: Unavailable, message: \"{text}\""));
        let grpc = |code, message: &str| E::Grpc { code, message: message.to_owned() };
        assert!(of(E::ConnectionClosed) && of(E::DeadlineExceeded) && of(status("gone")));
        assert!(of(E::NotLeaderException(Endpoint { host: "b".into(), port: 1 })));
        assert!(of(grpc(Code::Aborted, "Operation timed out")));
        assert!(!of(E::AccessDenied) && !of(E::ResourceDeleted) && !of(E::ResourceNotFound));
        assert_eq!(Trouble::from(status("Server Is Too Busy")), Trouble::Busy);
        assert!(matches!(Trouble::from(status("Server Is Not Ready")), Trouble::NotDone { .. }));
        let nobody = E::ServerError("status: Unknown, message: \"client error (Connect)\"".into());
        assert!(matches!(Trouble::from(nobody), Trouble::NotDone { .. }));
        let large = grpc(Code::InvalidArgument, "Maximum Append Size of 1048576 Exceeded.");
        assert!(matches!(Trouble::from(large), Trouble::TooLarge(_)));
        assert!(matches!(Trouble::from(grpc(Code::InvalidArgument, "no")), Trouble::Refused(_)));
    }
}
