//! Search in an Elasticsearch, 8 or 9: an index behind an alias. Documents are written first, each
//! guarded by its version, then made visible, then the checkpoint is moved by compare-and-set.

mod bulk;
mod checkpoint;
mod generation;
mod mapping;
mod query;
mod server;
mod url;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

pub use self::url::{ElasticsearchUrl, InvalidElasticsearchUrl};
use self::{
    checkpoint::{Aside, Placed, Stored, Written},
    mapping::{Definition, Hit},
    server::{LONG, Method, Server},
};
use super::{Change, Found, Page, Query, Schema, SearchError};
use crate::read_models::Checkpoint;

/// So many documents are read back in one call.
const READ_AT_ONCE: usize = 1_000;

/// An index of an Elasticsearch. Cheap to clone.
#[derive(Clone)]
pub struct ElasticsearchIndex(Arc<Inner>);

struct Inner {
    server: Server,
    alias: String,
    schema: Schema,
    definition: Arc<Definition>,
    /// The index of a rebuild; none for the one behind the alias.
    beside: Option<String>,
    writer: Mutex<Writer>,
    set_aside: RwLock<Option<String>>,
}

enum Writer {
    /// With the index as it was read or written last, if that is known.
    Open(Option<Known>),
    ReadOnly,
    Closed,
}

struct Known {
    index: String,
    placed: Option<Placed>,
}

impl Known {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.placed.as_ref().map(|placed| placed.stored.checkpoint())
    }

    fn set_aside(&self) -> &[Aside] {
        self.placed.as_ref().map_or(&[], |placed| &placed.stored.set_aside)
    }
}

impl ElasticsearchIndex {
    pub(super) fn open(
        url: &ElasticsearchUrl,
        kind: &str,
        schema: Schema,
    ) -> Result<Self, SearchError> {
        Self::new(url, kind, schema, Writer::Open(None))
    }

    pub(super) fn read(
        url: &ElasticsearchUrl,
        kind: &str,
        schema: Schema,
    ) -> Result<Self, SearchError> {
        Self::new(url, kind, schema, Writer::ReadOnly)
    }

    fn new(
        url: &ElasticsearchUrl,
        kind: &str,
        schema: Schema,
        writer: Writer,
    ) -> Result<Self, SearchError> {
        Ok(Self(Arc::new(Inner {
            server: Server::new(url)?,
            alias: format!("{}-{kind}", url.name),
            definition: Arc::new(Definition::new(&schema)),
            schema,
            beside: None,
            writer: Mutex::new(writer),
            set_aside: RwLock::default(),
        })))
    }

    pub(super) async fn checkpoint(&self) -> Result<Option<Checkpoint>, SearchError> {
        let inner = &self.0;
        let mut writer = inner.writer.lock().await;
        if let Writer::Open(known) = &mut *writer {
            // What a commit wrote that failed is looked up by the next, and has to be visible.
            *known = None;
            let found = inner.know().await?;
            inner.refresh(&found.index).await?;
            return Ok(known.insert(found).checkpoint());
        }
        match inner.posted().await {
            Ok(checkpoint) => Ok(checkpoint),
            Err(SearchError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set_aside(&self) -> Option<String> {
        self.0.set_aside.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn by_id(&self, ids: Vec<String>) -> Result<Vec<Found>, SearchError> {
        #[derive(Deserialize)]
        struct Answer {
            docs: Vec<Hit>,
        }
        let inner = &self.0;
        let mut found = Vec::new();
        for ids in ids.chunks(READ_AT_ONCE) {
            let path = format!("{}/_mget?_source_includes=flags,body", inner.reads());
            let body = Bytes::from(json!({ "ids": ids }).to_string());
            let answer = inner.server.call(Method::Post, &path, body, LONG).await?;
            let Answer { docs } = answer.done()?;
            found.extend(docs.into_iter().filter_map(|hit| hit.found(&inner.schema)));
        }
        Ok(inner.with_aside(found, |aside| ids.contains(&aside.id)).await)
    }

    pub(super) async fn by_keyword(
        &self,
        field: &'static str,
        values: Vec<String>,
    ) -> Result<Vec<Found>, SearchError> {
        let inner = &self.0;
        inner.schema.check_keyword(field)?;
        let mut found: HashMap<String, Found> = HashMap::new();
        for values in values.chunks(READ_AT_ONCE) {
            for document in inner.having(field, values).await? {
                found.insert(document.id.clone(), document);
            }
        }
        let found = found.into_values().collect();
        Ok(inner.with_aside(found, |aside| aside.has(field, &values)).await)
    }

    pub(super) async fn commit(
        &self,
        before: Option<Checkpoint>,
        changes: Vec<Change>,
        after: Checkpoint,
    ) -> Result<(), SearchError> {
        let inner = &self.0;
        let mut writer = inner.writer.lock().await;
        let known = match &mut *writer {
            Writer::ReadOnly => return Err(SearchError::ReadOnly),
            Writer::Closed => return Err(SearchError::Closed),
            Writer::Open(known) => known,
        };
        // Known again only after all went well.
        let found = match known.take() {
            Some(found) => found,
            None => inner.know().await?,
        };
        let at = found.checkpoint();
        if at != before {
            *known = Some(found);
            return Err(SearchError::Moved { found: at });
        }
        let index = &found.index;
        let set_aside = inner.write(index, found.set_aside(), &changes).await?;
        let stored = Stored::new(&inner.definition.fingerprint, &after, set_aside);
        match checkpoint::write(&inner.server, index, found.placed.as_ref(), stored).await? {
            Written::Done(placed) => {
                inner.tell(&placed.stored);
                *known = Some(Known { placed: Some(placed), index: found.index });
                Ok(())
            }
            Written::Moved => {
                let found = inner.know().await?;
                Err(SearchError::Moved { found: known.insert(found).checkpoint() })
            }
        }
    }

    pub(super) async fn anew(&self) -> Result<Self, SearchError> {
        let inner = &self.0;
        match &*inner.writer.lock().await {
            Writer::ReadOnly => return Err(SearchError::ReadOnly),
            Writer::Closed => return Err(SearchError::Closed),
            Writer::Open(_) => {}
        }
        let index = generation::beside(&inner.server, &inner.alias, &inner.definition).await?;
        Ok(self.beside(index))
    }

    pub(super) async fn unfinished(&self) -> Result<Option<Self>, SearchError> {
        let inner = &self.0;
        let left = generation::left(&inner.server, &inner.alias, &inner.definition).await?;
        Ok(left.map(|index| self.beside(index)))
    }

    fn beside(&self, index: String) -> Self {
        let inner = &self.0;
        Self(Arc::new(Inner {
            server: inner.server.clone(),
            alias: inner.alias.clone(),
            schema: inner.schema.clone(),
            definition: Arc::clone(&inner.definition),
            beside: Some(index),
            writer: Mutex::new(Writer::Open(None)),
            set_aside: RwLock::default(),
        }))
    }

    pub(super) async fn install(&self, in_order: bool) -> Result<(), SearchError> {
        let inner = &self.0;
        let Some(index) = &inner.beside else { return Ok(()) };
        if in_order {
            let own = inner.posted().await?;
            let shown = match checkpoint::read(&inner.server, &inner.alias).await {
                Ok(placed) => placed.map(|placed| placed.stored.checkpoint()),
                Err(SearchError::Missing(_)) => None,
                Err(error) => return Err(error),
            };
            if let Some(shown) = shown
                && own.is_none_or(|own| own.is_behind(&shown))
            {
                return Err(SearchError::Behind(shown.position));
            }
        }
        generation::install(&inner.server, &inner.alias, index).await
    }

    pub(super) async fn drop_old(&self) -> Result<usize, SearchError> {
        generation::drop_old(&self.0.server, &self.0.alias).await
    }

    /// None while it is being written to, or was not yet.
    pub(super) fn generation(&self) -> Option<u64> {
        let inner = &self.0;
        if let Some(index) = &inner.beside {
            return generation::number(&inner.alias, index);
        }
        match &*inner.writer.try_lock().ok()? {
            Writer::Open(Some(known)) => generation::number(&inner.alias, &known.index),
            _ => None,
        }
    }

    pub(super) async fn query(&self, query: Query) -> Result<Page, SearchError> {
        let inner = &self.0;
        inner.schema.check_query(&query)?;
        // Read before the documents are: it never promises more than they hold.
        let checkpoint = inner.posted().await?;
        query::ask(&inner.server, inner.reads(), &inner.schema, &query, checkpoint).await
    }

    pub(super) async fn close(&self) {
        let mut writer = self.0.writer.lock().await;
        if let Writer::Open(_) = &*writer {
            *writer = Writer::Closed;
        }
    }
}

impl Inner {
    /// Where is read.
    fn reads(&self) -> &str {
        self.beside.as_deref().unwrap_or(&self.alias)
    }

    /// The index that is written, made if need be, and how far it is posted.
    async fn know(&self) -> Result<Known, SearchError> {
        let index = match &self.beside {
            Some(index) => index.clone(),
            None => generation::ensure(&self.server, &self.alias, &self.definition).await?,
        };
        let placed = checkpoint::read(&self.server, &index).await.map_err(|error| match error {
            // It has just been there: somebody else has put another one in its place.
            SearchError::Missing(_) => SearchError::Unavailable(error.to_string()),
            error => error,
        })?;
        if let Some(placed) = &placed {
            self.tell(&placed.stored);
        }
        Ok(Known { index, placed })
    }

    /// How far what is read is posted.
    async fn posted(&self) -> Result<Option<Checkpoint>, SearchError> {
        let Some(placed) = checkpoint::read(&self.server, self.reads()).await? else {
            return Ok(None);
        };
        if !self.definition.fingerprint.reads(&placed.stored.fingerprint) {
            let other = format!("{} in Elasticsearch, made by another version,", self.reads());
            return Err(SearchError::Missing(other));
        }
        self.tell(&placed.stored);
        Ok(Some(placed.stored.checkpoint()))
    }

    fn tell(&self, stored: &Stored) {
        *self.set_aside.write().unwrap_or_else(PoisonError::into_inner) = stored.shown();
    }

    async fn refresh(&self, index: &str) -> Result<(), SearchError> {
        let path = format!("{index}/_refresh");
        let answer = self.server.call(Method::Post, &path, None, LONG).await?;
        answer.done::<serde_json::Value>().map(drop)
    }

    /// Writes changes and makes them visible. Returns all that is set aside now.
    async fn write(
        &self,
        index: &str,
        set_aside: &[Aside],
        changes: &[Change],
    ) -> Result<Vec<Aside>, SearchError> {
        if changes.is_empty() {
            return Ok(set_aside.to_vec());
        }
        let lines = bulk::lines(&self.schema, changes)?;
        let refused = bulk::post(&self.server, index, lines).await?;
        self.refresh(index).await?;
        let changed = |id: &str| changes.iter().any(|change| change.id() == id);
        let mut set_aside: Vec<Aside> =
            set_aside.iter().filter(|aside| !changed(&aside.id)).cloned().collect();
        for bulk::Refused { id, reason } in refused {
            tracing::error!(index, id, reason, "a document was refused: it is set aside");
            let last = changes.iter().rfind(|change| change.id() == id);
            if let Some(Change::Put(document)) = last {
                set_aside.push(Aside::new(document, reason)?);
            }
        }
        Ok(set_aside)
    }

    /// The documents with one of these values, in pages.
    async fn having(&self, field: &str, values: &[String]) -> Result<Vec<Found>, SearchError> {
        #[derive(Deserialize)]
        struct Answer {
            hits: Hits,
        }
        #[derive(Deserialize)]
        struct Hits {
            hits: Vec<Hit>,
        }
        let path = format!("{}/_search?allow_partial_search_results=false", self.reads());
        let mut found: Vec<Found> = Vec::new();
        loop {
            let mut asked = json!({
                "size": READ_AT_ONCE,
                "version": true,
                "_source": ["flags", "body"],
                "sort": ["id"],
                "query": { "bool": { "filter": { "terms": { format!("keywords.{field}"): values } } } },
            });
            if let Some(last) = found.last() {
                asked["search_after"] = json!([last.id]);
            }
            let body = Bytes::from(asked.to_string());
            let answer = self.server.call(Method::Post, &path, body, LONG).await?;
            let Answer { hits: Hits { hits } } = answer.done()?;
            let count = hits.len();
            found.extend(hits.into_iter().filter_map(|hit| hit.found(&self.schema)));
            if count < READ_AT_ONCE {
                return Ok(found);
            }
        }
    }

    /// What was found, and what is set aside in the place of what is in the index.
    async fn with_aside(
        &self,
        mut found: Vec<Found>,
        concerns: impl Fn(&Aside) -> bool,
    ) -> Vec<Found> {
        if let Writer::Open(Some(known)) = &*self.writer.lock().await {
            let set_aside = known.set_aside();
            found.retain(|found| set_aside.iter().all(|aside| aside.id != found.id));
            let concerned = set_aside.iter().filter(|aside| concerns(aside));
            found.extend(concerned.map(|aside| aside.found(&self.schema)));
        }
        found
    }
}
