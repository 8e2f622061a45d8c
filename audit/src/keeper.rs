//! The keeper: follows the log, keeps the tree up, and signs its heads. A head is signed only if the
//! tree still begins with what was signed last; if it does not, nothing is ever signed again under
//! that key, and everybody who asks is told.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use event_schemas::{Logged, Position, Timestamp};
use infra::{
    event_store::{Direction, EventStore, Filter, LogPage, MAX_PAGE, ReadError},
    keys::{KeyStore, KeysError},
};
use thiserror::Error;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    hash::{Hash, of_event},
    head::{HeadSigner, SignedHead},
    publish::{self, Publish},
    stored::{GrowingTree, StoredTree},
};

/// From the first event that no head covers to the next head; what it takes to sign comes on top.
const SIGN_AFTER: Duration = Duration::from_millis(600);
/// Between two looks at the log: what came meanwhile is hashed in one go.
const GATHER: Duration = Duration::from_millis(50);
/// What did not succeed is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end waits for what is in the log and not in the tree.
const LAST: Duration = Duration::from_secs(2);
/// Pages up to this size are hashed where they were read.
const INLINE: usize = 64;
/// How often a head is tried for that another node was faster with.
const TRIES: usize = 5;

/// What a keeper works with.
#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// Where the tree lies.
    pub dir: PathBuf,
    /// What heads are signed with.
    pub signer: HeadSigner,
    /// Where heads are handed out to, and how often.
    pub publish: Option<Publish>,
}

/// How the keeper is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperState {
    /// As it should be.
    Keeping,
    /// The log is not the one that was signed. Nothing is signed any more.
    Diverged(String),
    /// It is tried again.
    Waiting(String),
}

/// How far the keeper is.
#[derive(Clone, Debug)]
pub struct KeeperStatus {
    /// How it is doing.
    pub state: KeeperState,
    /// The tree up to the newest head, and that head.
    pub signed: Option<Signed>,
}

/// A head and the tree that it was signed over.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The head.
    pub head: SignedHead,
    /// Up to here, inclusive, the head covers the log.
    pub position: Position,
    /// The tree; it may have grown beyond the head.
    pub tree: StoredTree,
}

/// Why the tree cannot be kept up at the moment.
#[derive(Debug, Error)]
pub enum KeeperError {
    /// Its files.
    #[error("the audit tree cannot be written: {0}")]
    Tree(#[from] io::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The key store.
    #[error("heads cannot be signed: {0}")]
    Keys(#[from] KeysError),
    /// The log is not the one that was signed.
    #[error("{0}")]
    Diverged(String),
}

/// A keeper at work.
#[derive(Debug)]
pub struct Keeper {
    status: watch::Receiver<KeeperStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    publishing: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts to follow the log.
    pub fn start(store: EventStore, keys: KeyStore, settings: KeeperSettings) -> Self {
        let (told, status) =
            watch::channel(KeeperStatus { state: KeeperState::Keeping, signed: None });
        let (stop, stopped) = watch::channel(false);
        let publishing = settings
            .publish
            .clone()
            .map(|to| tokio::spawn(publish::run(to, status.clone(), stopped.clone())));
        let task = Follower { store, keys, settings, told, stopped };
        Self { status, stop, task: tokio::spawn(task.run()), publishing }
    }

    /// How it is doing, now and later.
    pub fn status(&self) -> watch::Receiver<KeeperStatus> {
        self.status.clone()
    }

    /// Signs a last head over all that is in the log and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
        if let Some(publishing) = self.publishing {
            let _ = publishing.await;
        }
    }
}

/// Brings the tree to the log's end and signs a head over it, if there is anything new.
///
/// # Errors
/// [`KeeperError`]
pub async fn sign_now(
    store: &EventStore,
    keys: &KeyStore,
    dir: &Path,
    signer: &HeadSigner,
) -> Result<Signed, KeeperError> {
    let mut tree = open(dir, store).await?;
    catch_up(store, &mut tree).await?;
    sign(store, keys, signer, &mut tree).await
}

struct Follower {
    store: EventStore,
    keys: KeyStore,
    settings: KeeperSettings,
    told: watch::Sender<KeeperStatus>,
    stopped: watch::Receiver<bool>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let done = self.follow().await;
            match done {
                Ok(()) | Err(KeeperError::Log(ReadError::Closed)) => return,
                Err(KeeperError::Diverged(reason)) => {
                    tracing::error!(
                        reason,
                        "the log is not the one that was signed: no head is signed any more; \
                         `daybook audit verify` says what differs"
                    );
                    metrics::gauge!("audit_diverged").set(1.0);
                    self.tell(KeeperState::Diverged(reason));
                    asked(&mut self.stopped).await;
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the audit tree waits");
                    self.tell(KeeperState::Waiting(error.to_string()));
                }
            }
            tokio::select! {
                () = asked(&mut self.stopped) => return,
                () = sleep(RETRY) => {}
            }
        }
    }

    /// Follows until the end is asked for, or something fails: then the tree is opened anew, as far
    /// as it was synced.
    async fn follow(&self) -> Result<(), KeeperError> {
        metrics::gauge!("audit_diverged").set(0.0);
        let mut tree = open(&self.settings.dir, &self.store).await?;
        // The log's end first: of a log that is shorter than what was signed, no page tells.
        if let Some(()) = self.until_stopped(catch_up_and(&self.store, &mut tree)).await? {
            self.sign(&mut tree).await?;
        }
        let mut subscription = self.store.subscribe(tree.position(), Filter::all());
        let (mut sign_at, mut stopped) = (None, self.stopped.clone());
        loop {
            let due = async {
                match sign_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = asked(&mut stopped) => break,
                () = due => {
                    self.sign(&mut tree).await?;
                    sign_at = None;
                }
                page = subscription.next() => {
                    let page = page?;
                    let (at_end, before) = (page.at_end, tree.size());
                    add(&mut tree, page).await?;
                    if tree.size() > before {
                        sign_at = sign_at.or_else(|| Some(Instant::now() + SIGN_AFTER));
                    }
                    if at_end && let Ok(()) = timeout(GATHER, asked(&mut stopped)).await {
                        break;
                    }
                }
            }
        }
        let caught_up = timeout(LAST, catch_up(&self.store, &mut tree)).await;
        if !matches!(caught_up, Ok(Ok(()))) {
            tracing::info!("the audit tree is kept up further at the next start");
        }
        self.sign(&mut tree).await
    }

    /// `None` if the end was asked for first.
    async fn until_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, KeeperError>>,
    ) -> Result<Option<T>, KeeperError> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            done = work => done.map(Some),
            () = asked(&mut stopped) => Ok(None),
        }
    }

    async fn sign(&self, tree: &mut GrowingTree) -> Result<(), KeeperError> {
        let signed = sign(&self.store, &self.keys, &self.settings.signer, tree).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("audit_signed_events").set(signed.head.size as f64);
        self.told.send_modify(|status| {
            status.state = KeeperState::Keeping;
            status.signed = Some(signed);
        });
        Ok(())
    }

    fn tell(&self, state: KeeperState) {
        self.told.send_modify(|status| status.state = state);
    }
}

/// Waits until the end is asked for; whoever could ask and is gone has asked.
pub(crate) async fn asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn catch_up_and(store: &EventStore, tree: &mut GrowingTree) -> Result<(), KeeperError> {
    still_there(store, tree).await?;
    catch_up(store, tree).await
}

async fn open(dir: &Path, store: &EventStore) -> Result<GrowingTree, KeeperError> {
    let (dir, id) = (dir.to_owned(), store.id());
    Ok(blocking(move || GrowingTree::open(&dir, id)).await?)
}

/// Whether the log still reaches to where the tree does. What was there is not thrown away to fit
/// what is there now: it is what tells them apart.
async fn still_there(store: &EventStore, tree: &GrowingTree) -> Result<(), KeeperError> {
    let head = store.head().await?;
    if head < tree.position() {
        return Err(KeeperError::Diverged(format!(
            "the log ends at position {head}, and had been read up to {}",
            tree.position()
        )));
    }
    let Some((position, id)) = tree.last() else { return Ok(()) };
    match store.event_at(position).await? {
        Some(event) if event.id == id => Ok(()),
        _ => Err(KeeperError::Diverged(format!(
            "the event {id} no longer stands at position {position}"
        ))),
    }
}

/// Reads the log up to its end.
///
/// # Errors
/// [`KeeperError`]
pub(crate) async fn catch_up(
    store: &EventStore,
    tree: &mut GrowingTree,
) -> Result<(), KeeperError> {
    loop {
        let page =
            store.read_log(tree.position(), Direction::Forwards, &Filter::all(), MAX_PAGE).await?;
        let at_end = page.at_end;
        add(tree, page).await?;
        if at_end {
            return Ok(());
        }
    }
}

async fn add(tree: &mut GrowingTree, page: LogPage) -> Result<(), KeeperError> {
    for (event, leaf) in hashed(page.events).await? {
        tree.push(leaf, event.position, event.id)?;
    }
    tree.pass(page.scanned_to);
    Ok(())
}

/// The events that belong to the tree, each with its leaf's hash.
///
/// # Errors
/// If the process is about to end.
pub(crate) async fn hashed(events: Vec<Logged>) -> io::Result<Vec<(Logged, Hash)>> {
    let inline = events.len() <= INLINE;
    let hash = move || {
        let events = events.into_iter().filter(|event| !EventStore::is_bookkeeping(event));
        let hashed = events.map(|event| {
            let leaf = of_event(&event);
            (event, leaf)
        });
        Ok(hashed.collect())
    };
    if inline { hash() } else { blocking(hash).await }
}

/// Signs a head over the tree, unless the newest one covers it already.
async fn sign(
    store: &EventStore,
    keys: &KeyStore,
    signer: &HeadSigner,
    tree: &mut GrowingTree,
) -> Result<Signed, KeeperError> {
    let id = signer.public_key().id();
    for _ in 0..TRIES {
        // The place that is free now: whoever takes it before us makes us look again.
        let last = keys.newest_head(None).await?.map_or(0, |row| row.n);
        let newest = newest(keys, signer).await?;
        if let Some(head) = &newest
            && head.size > tree.size()
        {
            // Another node was faster, and the log holds what it had read.
            catch_up(store, tree).await?;
            if head.size > tree.size() {
                return Err(KeeperError::Diverged(format!(
                    "the log has {} events, and a head over {} was signed",
                    tree.size(),
                    head.size
                )));
            }
        }
        let stored = blocking(tree.sync()?).await?;
        let position = stored.position();
        if let Some(head) = newest {
            let root = stored.root(head.size)?;
            if root != head.root {
                return Err(KeeperError::Diverged(format!(
                    "the root over the first {} events is {root}, and was {} when it was signed",
                    head.size, head.root
                )));
            }
            if head.size == tree.size() {
                return Ok(Signed { head, position, tree: stored });
            }
        } else {
            note_other_signer(keys, &stored).await?;
        }
        let now = Timestamp::from(jiff::Timestamp::now());
        let head = signer.sign(tree.size(), tree.root(), now);
        let document = serde_json::to_string(&head).map_err(io::Error::from)?;
        if keys.add_head(last + 1, &id, head.size, &document).await? {
            return Ok(Signed { head, position, tree: stored });
        }
    }
    Err(KeeperError::Tree(io::Error::other("other nodes were faster each time")))
}

/// The newest head under this key.
async fn newest(keys: &KeyStore, signer: &HeadSigner) -> Result<Option<SignedHead>, KeeperError> {
    let key = signer.public_key();
    let Some(row) = keys.newest_head(Some(&key.id())).await? else { return Ok(None) };
    let head: Option<SignedHead> = serde_json::from_str(&row.head).ok();
    let head = head.filter(|head| head.is_by(&key) && head.size == row.size);
    head.map(Some).ok_or_else(|| {
        KeeperError::Diverged(format!("head {} in the key store was changed", row.n))
    })
}

/// A new key begins anew: that the log is another than under the key before is said, once.
async fn note_other_signer(keys: &KeyStore, tree: &StoredTree) -> Result<(), KeeperError> {
    let Some(row) = keys.newest_head(None).await? else { return Ok(()) };
    let Ok(head) = serde_json::from_str::<SignedHead>(&row.head) else { return Ok(()) };
    if head.size > tree.size() || tree.root(head.size)? != head.root {
        tracing::warn!(
            key = %head.public_key,
            size = head.size,
            "the log does not go on from what was signed under the key before; this key begins anew"
        );
    }
    Ok(())
}

/// Runs what uses the disk or the processor for long on another thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The tree over the log as it is now, made in a folder that can go as soon as this is answered.
///
/// # Errors
/// [`KeeperError`]
pub async fn tree_of_log(store: &EventStore, dir: &Path) -> Result<StoredTree, KeeperError> {
    let mut tree = open(dir, store).await?;
    catch_up(store, &mut tree).await?;
    Ok(blocking(tree.sync()?).await?)
}
