//! Following the log. One task of the process reads it as it grows, for all who follow.
//!
//! It does not use the client's subscription: once the server, or a proxy before it, ends the
//! answer without an error, the subscription's `next()` never returns nor gives way, and no timeout
//! around it can end that. A read always ends. What this process appends itself wakes the task;
//! what others append is seen at the next read, 2 to 50 ms later.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use event_schemas::Position;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{Shared, connection::Connection};
use crate::event_store::{Direction, Filter, LogPage, MAX_PAGE, ReadError, recent::Recent};

/// The wait from one read to the next: the least, and the most after a long time without news.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));
/// The wait after a read that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Events and bytes held in memory for those who follow.
const RECENT: (usize, usize) = (20_000, 16 << 20);

/// What was read last, and who reads on.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) recent: Arc<Recent>,
}

impl Follower {
    /// Begins to follow at the log's end.
    pub(super) async fn start(shared: &Arc<Shared>) -> Result<Self, ReadError> {
        let head = shared.connection.read(|node| async move { node.head().await }).await?;
        let recent = Arc::new(Recent::new(head, RECENT.0, RECENT.1));
        let woken = shared.appended.clone();
        tokio::spawn(follow(Arc::downgrade(shared), recent.clone(), woken, head));
        Ok(Self { recent })
    }
}

async fn follow(
    shared: Weak<Shared>,
    recent: Arc<Recent>,
    woken: Arc<Notify>,
    mut reached: Position,
) {
    let mut pause = PAUSE.0;
    loop {
        let begun = Instant::now();
        let Some(this) = shared.upgrade() else { return recent.close() };
        let connection = this.connection.clone();
        drop(this);
        match page(&connection, reached).await {
            Ok(page) => {
                pause = if page.scanned_to > reached { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
                reached = page.scanned_to;
                if let Some(last) = page.events.iter().rev().find(|event| event.is_ours()) {
                    connection.note_event(last.position, last.id);
                }
                recent.publish(page.events, reached);
                if !page.at_end {
                    continue;
                }
            }
            Err(ReadError::Closed) => return recent.close(),
            Err(ReadError::Unavailable(reason)) => {
                tracing::warn!(reason, "the log is not followed at the moment");
                sleep(AFTER_FAILURE).await;
            }
        }
        // Not sooner, however many appends there are: one read finds them all.
        sleep_until(begun + PAUSE.0).await;
        select! {
            () = woken.notified() => {}
            () = sleep(pause.saturating_sub(PAUSE.0)) => {}
            () = connection.closed() => {}
        }
    }
}

async fn page(connection: &Connection, after: Position) -> Result<LogPage, ReadError> {
    connection
        .read(|node| async move {
            node.log_page(after, Direction::Forwards, &Filter::all(), MAX_PAGE).await
        })
        .await
}
