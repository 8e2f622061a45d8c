//! SIGINT (Ctrl-C) and SIGTERM.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// What asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGINT: exit code 130.
    Interrupt,
    /// SIGTERM: a clean end is exit code 0.
    Terminate,
}

/// Both signals; from now on they end the process only as it likes.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let on = |kind| signal(kind).context("signals cannot be waited for");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
        }
    }
}

impl Asked {
    /// How the process ends after a clean end that this signal asked for.
    pub(crate) const fn ended(self) -> Result<(), Failure> {
        match self {
            Self::Interrupt => Err(Failure::Interrupted),
            Self::Terminate => Ok(()),
        }
    }

    /// The exit code of a process that this signal ends at once, as shells count.
    pub(crate) const fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}
