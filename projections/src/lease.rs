//! Several processes may run the same projectors: one holds a projection, the others stand by. The
//! lease lies in the read models' own engine and runs by that engine's clock. It keeps two
//! projectors from getting in each other's way; what keeps the rows right is the checkpoint, which
//! only moves from where the writer left it.

use std::time::Duration;

use infra::read_models::{ReadModelError, ReadModels};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How often a lease is renewed, or asked for by those who stand by.
pub(crate) const EACH: Duration = Duration::from_secs(1);
/// A lease that could not be renewed for so long may be somebody else's.
const TERM: Duration = Duration::from_secs(3);

/// Where leases are taken, and who takes them.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    pub(crate) models: ReadModels,
    pub(crate) holder: String,
}

/// A lease that is held: renewed until it is dropped or lost.
#[derive(Debug)]
pub(crate) struct Held {
    leases: Leases,
    name: &'static str,
    lost: watch::Receiver<bool>,
    renewing: JoinHandle<()>,
}

impl Leases {
    /// The lease, if nobody else has it.
    pub(crate) async fn take(&self, name: &'static str) -> Result<Option<Held>, ReadModelError> {
        if !self.models.lease(name, &self.holder).await? {
            return Ok(None);
        }
        let (tell, lost) = watch::channel(false);
        let leases = self.clone();
        let renewing = tokio::spawn(async move {
            leases.renew(name).await;
            let _ = tell.send(true);
        });
        Ok(Some(Held { leases: self.clone(), name, lost, renewing }))
    }

    /// Renews the lease until it is somebody else's, or may be.
    async fn renew(&self, name: &'static str) {
        let mut until = Instant::now() + TERM;
        loop {
            sleep(EACH).await;
            let begun = Instant::now();
            match self.models.lease(name, &self.holder).await {
                Ok(true) => until = begun + TERM,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(projection = name, %error, "the lease could not be renewed");
                    if Instant::now() >= until {
                        return;
                    }
                }
            }
        }
    }
}

impl Held {
    /// Returns when the lease is lost.
    pub(crate) async fn lost(&mut self) {
        // An error says that the task is gone, and nobody renews the lease any more.
        let _ = self.lost.wait_for(|&lost| lost).await;
    }

    /// Whether it is.
    pub(crate) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Gives it up: the next one need not wait for its end.
    pub(crate) async fn release(self) {
        self.renewing.abort();
        if let Err(error) = self.leases.models.release(self.name, &self.leases.holder).await {
            tracing::debug!(projection = self.name, %error, "the lease ends by itself");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}
