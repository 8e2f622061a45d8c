//! Opening the engines that the settings name.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

use anyhow::Context;
use infra::{
    bus::Bus,
    event_store::{EventStore, OpenError, SqliteOptions},
    keys::{KeyStore, KeysError},
    lock::{Lock, LockError},
    read_models::ReadModels,
    search::SearchIndex,
};
use projections::{ProjectionStatus, Projectors, Rebuild, search::SearchSink};
use uuid::Uuid;

use crate::{
    failure::Failure,
    settings::{BusUrl, EventStoreUrl, KeysUrl, ReadModelsUrl, SearchUrl, Settings},
};

/// Makes the data directory, readable by its owner only, if there is none.
pub(crate) fn make_data_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data directory {} cannot be made", path.display()))?;
    Ok(())
}

/// An event store open for writing. What stands between this process and a second one that would
/// write the same data directory is the store's own lock, or, where the store lies elsewhere, the
/// data directory's.
pub(crate) struct Opened {
    pub(crate) store: EventStore,
    pub(crate) lock: Option<Lock>,
}

/// Opens the event store for writing.
pub(crate) async fn event_store(settings: &Settings) -> Result<Opened, Failure> {
    make_data_directory(&settings.data)?;
    match &settings.event_store {
        EventStoreUrl::Sqlite(path) => {
            let opened = EventStore::open_sqlite(SqliteOptions::new(path)).await;
            let store = opened.map_err(open_failure)?;
            Ok(Opened { store, lock: None })
        }
        EventStoreUrl::EventStoreDb(url) => {
            let lock = lock_data_directory(&settings.data)?;
            let store = EventStore::open_eventstoredb(url.clone()).await.map_err(open_failure)?;
            Ok(Opened { store, lock: Some(lock) })
        }
    }
}

/// Keeps every other process from writing the data directory as long as what is handed back lives: the
/// embedded event store, to be closed, or the directory's lock. One that holds no shop is left as it is.
pub(crate) async fn take(
    settings: &Settings,
) -> Result<(Option<EventStore>, Option<Lock>), Failure> {
    match &settings.event_store {
        EventStoreUrl::Sqlite(path) if path.exists() => {
            let Opened { store, lock } = event_store(settings).await?;
            Ok((Some(store), lock))
        }
        EventStoreUrl::EventStoreDb(_) if settings.data.exists() => {
            Ok((None, Some(lock_data_directory(&settings.data)?)))
        }
        _ => Ok((None, None)),
    }
}

/// Read models, search index and snapshots are one process's to write.
fn lock_data_directory(data: &Path) -> Result<Lock, Failure> {
    Lock::take(&data.join("node.lock")).map_err(|error| match error {
        LockError::Held { .. } => {
            let what = format!("the data directory {} is taken", data.display());
            Failure::Failed(anyhow::Error::new(error).context(what))
        }
        error @ LockError::Io { .. } => Failure::Failed(anyhow::Error::new(error)),
    })
}

/// Whether it says that another process has the data directory.
pub(crate) fn is_in_use(failure: &Failure) -> bool {
    let Failure::Failed(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(OpenError::Locked { .. }))
        || matches!(error.downcast_ref(), Some(LockError::Held { .. }))
}

/// Opens the event store for reading, also beside the process that writes it.
pub(crate) async fn event_store_to_read(settings: &Settings) -> Result<EventStore, Failure> {
    let path = match &settings.event_store {
        EventStoreUrl::Sqlite(path) => path,
        EventStoreUrl::EventStoreDb(url) => {
            return EventStore::read_eventstoredb(url.clone()).await.map_err(open_failure);
        }
    };
    EventStore::read_sqlite(path).await.map_err(|error| match error {
        OpenError::Missing(path) => Failure::failed(format!(
            "there is no event store at {}; name another place with --data or --event-store, or \
             make one with `daybook serve`",
            path.display()
        )),
        error => open_failure(error),
    })
}

fn open_failure(error: OpenError) -> Failure {
    Failure::Failed(anyhow::Error::new(error))
}

/// The bus, if there is one. Its server may be away.
pub(crate) async fn bus(settings: &Settings) -> Result<Option<Bus>, Failure> {
    match &settings.bus {
        BusUrl::Memory => Ok(None),
        BusUrl::Nats(url) => {
            let bus = Bus::connect(url).await;
            Ok(Some(bus.context("the bus cannot be used")?))
        }
    }
}

/// A name for where the read models and the search index lie: who posts into the same ones shares
/// consumers on the bus.
pub(crate) fn place(settings: &Settings) -> String {
    let data = settings.data.canonicalize().unwrap_or_else(|_| settings.data.clone());
    // A directory is one only together with its machine.
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let local = match &settings.read_models {
        ReadModelsUrl::Sqlite(_) => format!("{machine} {}", data.display()),
        ReadModelsUrl::Mysql(_) => String::new(),
    };
    let place = format!("{local} {:?} {:?}", settings.read_models, settings.search);
    Uuid::new_v5(&Uuid::NAMESPACE_URL, place.as_bytes()).simple().to_string()[..12].to_owned()
}

/// Opens the place where the read models lie.
pub(crate) async fn read_models(settings: &Settings) -> Result<ReadModels, Failure> {
    let opened = match &settings.read_models {
        ReadModelsUrl::Sqlite(dir) => Ok(ReadModels::sqlite(dir)),
        ReadModelsUrl::Mysql(url) => {
            ReadModels::open_mysql(url.clone(), settings.read_models_replica.as_ref()).await
        }
    };
    Ok(opened.context("the read models cannot be opened")?)
}

/// The place where the read models lie, to be left as it is.
pub(crate) async fn read_models_to_read(settings: &Settings) -> Result<ReadModels, Failure> {
    let opened = match &settings.read_models {
        ReadModelsUrl::Sqlite(dir) => Ok(ReadModels::sqlite(dir)),
        ReadModelsUrl::Mysql(url) => ReadModels::read_mysql(url.clone()).await,
    };
    Ok(opened.context("the read models cannot be read")?)
}

/// What the documents of the search index are.
const PRODUCTS: &str = "products";

/// Opens the search index for writing, or for queries alone. An Elasticsearch may be away: it is
/// asked when there is something to post or to find. A tantivy index is this process's own, and
/// made if there is none.
pub(crate) async fn search(settings: &Settings, posts: bool) -> Result<SearchIndex, Failure> {
    let schema = projections::search::schema();
    let index = match &settings.search {
        SearchUrl::Tantivy(dir) => SearchIndex::open_tantivy(dir.clone(), schema).await,
        SearchUrl::Elasticsearch(url) if posts => {
            SearchIndex::open_elasticsearch(url, PRODUCTS, schema)
        }
        SearchUrl::Elasticsearch(url) => SearchIndex::read_elasticsearch(url, PRODUCTS, schema),
    };
    Ok(index.context("the search index cannot be opened")?)
}

/// Starts the projector of the search index.
pub(crate) fn start_search(
    projectors: &mut Projectors,
    index: &SearchIndex,
    store: &EventStore,
) -> Result<(), Failure> {
    projectors
        .start(SearchSink::live(index.clone(), store.id()))
        .context("a projector cannot be started")?;
    Ok(())
}

/// Adds the search index to a rebuild; it is to be closed afterwards.
pub(crate) async fn add_search(
    settings: &Settings,
    store: &EventStore,
    rebuild: &mut Rebuild,
) -> Result<SearchIndex, Failure> {
    let index = search(settings, true).await?;
    rebuild
        .add(SearchSink::anew(index.clone(), store.id()))
        .context("no thread could be started")?;
    Ok(index)
}

/// Removes the generations of the search index that were replaced, also beside the process that
/// writes it.
pub(crate) async fn drop_old_search(settings: &Settings) -> Result<usize, Failure> {
    let schema = projections::search::schema();
    let index = match &settings.search {
        SearchUrl::Tantivy(dir) => SearchIndex::read_tantivy(dir.clone(), schema).await,
        SearchUrl::Elasticsearch(url) => SearchIndex::read_elasticsearch(url, PRODUCTS, schema),
    };
    let index = index.context("the search index cannot be opened")?;
    Ok(index.drop_old().await.context("a generation could not be removed")?)
}

/// How the search index is doing, read beside the process that writes it.
pub(crate) async fn search_status(
    settings: &Settings,
    store: &EventStore,
) -> Result<ProjectionStatus, Failure> {
    let schema = projections::search::schema();
    let index = match &settings.search {
        SearchUrl::Tantivy(dir) => SearchIndex::read_tantivy(dir.clone(), schema).await,
        SearchUrl::Elasticsearch(url) => SearchIndex::read_elasticsearch(url, PRODUCTS, schema),
    };
    let status = projections::search::read_status(store, index.as_ref()).await;
    Ok(status.context("the event store cannot be read")?)
}

/// Opens the key store that belongs to the event store; a store that has none yet is given this
/// one.
///
/// # Errors
/// [`Failure::Usage`] if it is another one: what was sealed could not be opened, and hashed names
/// would not be found.
pub(crate) async fn keys(settings: &Settings, store: &EventStore) -> Result<KeyStore, Failure> {
    let wanted = store.key_fingerprint().await.context("the event store's keys are unknown")?;
    if let (Some(wanted), KeysUrl::Sqlite(path)) = (&wanted, &settings.keys)
        && !path.exists()
    {
        return Err(foreign(settings, wanted, &format!("{} does not exist", path.display())).await);
    }
    let keys = open_keys(settings).await?;
    if wanted.is_none() {
        has_a_log(settings, store, &keys).await?;
    }
    match wanted {
        None => store
            .set_key_fingerprint(keys.fingerprint())
            .await
            .context("the event store cannot note its key store")?,
        Some(wanted) if wanted == keys.fingerprint() => {}
        Some(wanted) => {
            let found = format!("{} has {}", shown_keys(settings), keys.fingerprint());
            return Err(foreign(settings, &wanted, &found).await);
        }
    }
    Ok(keys)
}

/// A key store that has signed a log belongs to one that is lost, if this one was just made: going on
/// with nothing would hide it.
async fn has_a_log(
    settings: &Settings,
    store: &EventStore,
    keys: &KeyStore,
) -> Result<(), Failure> {
    if store.event_count().await.context("the event store cannot be read")? != Some(0) {
        return Ok(());
    }
    let head = keys.newest_head(None).await.context("the key store cannot be read")?;
    match head.filter(|head| head.size > 0) {
        None => Ok(()),
        Some(head) => Err(Failure::failed(format!(
            "the event store is empty, and the key store {} has signed a log of {} events: put the log \
             back in its place, or take a backup in with `daybook restore` in another directory; for \
             a new shop name other keys with --keys, or another directory with --data",
            shown_keys(settings),
            head.size
        ))),
    }
}

/// Opens the key store, whichever event store it belongs to.
///
/// # Errors
/// [`Failure::Usage`] if it is wrapped by another master key than was given, or by none.
pub(crate) async fn open_keys(settings: &Settings) -> Result<KeyStore, Failure> {
    let master = settings.master_key.clone();
    let opened = match &settings.keys {
        KeysUrl::Sqlite(path) => KeyStore::open_sqlite_with(path, master).await,
        KeysUrl::Mysql(url) => KeyStore::open_mysql_with(url, master).await,
    };
    let shown = shown_keys(settings);
    match opened {
        Err(
            error @ (KeysError::MasterKeyNeeded { .. }
            | KeysError::OtherMasterKey { .. }
            | KeysError::NotWrapped),
        ) => Err(Failure::usage(format!("the key store {shown} cannot be opened: {error}"))),
        opened => Ok(opened.with_context(|| format!("the key store {shown} cannot be opened"))?),
    }
}

fn shown_keys(settings: &Settings) -> String {
    match &settings.keys {
        KeysUrl::Sqlite(path) => path.display().to_string(),
        KeysUrl::Mysql(url) => url.to_string(),
    }
}

async fn foreign(settings: &Settings, wanted: &str, found: &str) -> Failure {
    let usual = settings.data.join("keys.sqlite");
    let belongs = usual.exists()
        && KeyStore::open_sqlite_with(&usual, settings.master_key.clone())
            .await
            .is_ok_and(|keys| keys.fingerprint() == wanted);
    let give = if belongs {
        format!("give --keys sqlite:{}", usual.display())
    } else {
        "give --keys the one with that fingerprint, from where it lies or from its backup"
            .to_owned()
    };
    Failure::usage(format!(
        "this event store belongs to the key store with the fingerprint {wanted}, but {found}; {give}"
    ))
}
