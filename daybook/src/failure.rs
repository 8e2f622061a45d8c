use std::process::ExitCode;

use thiserror::Error;

/// How a command can end other than well; each has its exit code.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// It could not be done. Exit code 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// It was asked for in a way that cannot be right. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was done in part, and the rest is listed. Exit code 3.
    #[error("{0}")]
    InPart(String),
    /// It was checked and found different. Exit code 4.
    #[error("{0}")]
    Different(String),
    /// Whoever read the output has gone: nothing is wrong, nothing is said. Exit code 0.
    #[error("the output was closed")]
    OutputClosed,
    /// Ctrl-C. Exit code 130.
    #[error("interrupted; what was done stays done: run the same command again to go on")]
    Interrupted,
}

impl Failure {
    /// A wrong way of asking; the text says what to do.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Something that could not be done; the text says what and why.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(anyhow::anyhow!(text.into()))
    }

    /// The contract's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::InPart(_) => 3,
            Self::Different(_) => 4,
            Self::Interrupted => 130,
        })
    }

    /// What to tell the user on standard error, if anything.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::OutputClosed => None,
            Self::Failed(error) => Some(format!("error: {error:#}")),
            Self::Usage(text) => Some(format!("error: {text}")),
            Self::InPart(text) | Self::Different(text) => Some(text.clone()),
            Self::Interrupted => Some(self.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// For writing to standard output.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Failed(anyhow::Error::new(error).context("the output cannot be written"))
        }
    }
}
