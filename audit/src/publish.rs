//! Handing heads out, to where whoever could change the log cannot change them.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    head::SignedHead,
    keeper::{KeeperStatus, asked, blocking},
};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same at the end of the process.
const LAST: Duration = Duration::from_secs(1);

/// Where heads are handed out to, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub to: PublishTo,
    /// How often, if there is a new one.
    pub every: Duration,
}

/// Where heads are handed out to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishTo {
    /// A file to which a line is added for each.
    File(PathBuf),
    /// A server that each is sent to by POST, as JSON.
    Url(String),
}

/// Hands out the newest head every so often, and the last one at the end.
pub(crate) async fn run(
    publish: Publish,
    mut status: watch::Receiver<KeeperStatus>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tick = interval(publish.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    // The first as soon as there is one.
    if status.wait_for(|status| status.signed.is_some()).await.is_err() {
        return;
    }
    let mut ending = false;
    while !ending {
        tokio::select! {
            _ = tick.tick() => {}
            // The keeper has signed its last head when it is gone.
            () = asked(&mut stopped) => {
                while status.changed().await.is_ok() {}
                ending = true;
            }
        }
        let head = status.borrow().signed.as_ref().map(|signed| signed.head.clone());
        let Some(head) = head.filter(|head| last.as_ref() != Some(head)) else { continue };
        let patience = if ending { LAST } else { PATIENCE };
        match hand_out(&publish.to, &head, patience).await {
            Ok(()) => last = Some(head),
            Err(error) => {
                metrics::counter!("audit_publish_failures_total").increment(1);
                tracing::warn!(%error, size = head.size, "a signed head could not be handed out");
            }
        }
    }
}

async fn hand_out(to: &PublishTo, head: &SignedHead, patience: Duration) -> io::Result<()> {
    let document = serde_json::to_string(head)?;
    match to {
        PublishTo::File(path) => {
            let path = path.clone();
            let add = move || {
                let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
                file.write_all(format!("{document}\n").as_bytes())?;
                file.sync_all()
            };
            blocking(add).await
        }
        PublishTo::Url(url) => {
            let client = reqwest::Client::builder().timeout(patience).build();
            let sending = client.map_err(io::Error::other)?.post(url);
            let sending = sending.header("content-type", "application/json").body(document);
            let answer = sending.send().await.map_err(|error| {
                // The URL may hold a password.
                io::Error::other(error.without_url())
            })?;
            match answer.status() {
                status if status.is_success() => Ok(()),
                status => Err(io::Error::other(format!("the server answered {status}"))),
            }
        }
    }
}
