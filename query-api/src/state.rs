use std::{fmt, ops::Deref, pin::Pin, sync::Arc};

use audit::KeeperStatus;
use bytes::Bytes;
use event_schemas::Currency;
use history::Past;
use infra::{
    event_store::EventStore,
    http::ProblemKind,
    keys::KeyStore,
    read_models::{ReadModels, Reader, Schema},
    search::SearchIndex,
};
use projections::Projectors;
use tokio::sync::watch;

use crate::{Health, belongs::Belongs};

/// What queries are answered from; cheap to clone.
#[derive(Clone)]
pub struct QueryState(Arc<Inner>);

/// What a [`QueryState`] is made of.
pub struct QueryParts {
    /// The log.
    pub store: EventStore,
    /// What was, read from the log.
    pub past: Past,
    /// The read models.
    pub models: ReadModels,
    /// The search index of products.
    pub search: SearchIndex,
    /// The keys of persons.
    pub keys: KeyStore,
    /// The projectors of this process: what tells how far the read models are posted.
    pub projectors: Arc<Projectors>,
    /// The audit tree, where this process keeps it up.
    pub audit: Option<watch::Receiver<KeeperStatus>>,
    /// The shop's currency.
    pub currency: Currency,
    /// Renders the metrics of this process (Prometheus text format).
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// How this process is doing.
    pub health: HealthCheck,
    /// Every kind of problem that the whole program knows, for `/problems`.
    pub problems: Vec<&'static ProblemKind>,
    /// The OpenAPI document of the whole program.
    pub openapi: utoipa::openapi::OpenApi,
}

/// Asks how this process is doing.
pub type HealthCheck = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Health> + Send>> + Send + Sync>;

/// What the queries see of a [`QueryState`].
pub struct Inner {
    pub(crate) store: EventStore,
    pub(crate) past: Past,
    pub(crate) models: ReadModels,
    pub(crate) orders: Model,
    pub(crate) stock: Model,
    pub(crate) products: Model,
    pub(crate) users: Model,
    pub(crate) sales: Model,
    pub(crate) search: SearchIndex,
    pub(crate) search_belongs: Belongs,
    pub(crate) keys: KeyStore,
    pub(crate) projectors: Arc<Projectors>,
    pub(crate) audit: Option<watch::Receiver<KeeperStatus>>,
    pub(crate) currency: Currency,
    pub(crate) metrics: Box<dyn Fn() -> String + Send + Sync>,
    pub(crate) health: HealthCheck,
    pub(crate) problems: Vec<&'static ProblemKind>,
    pub(crate) openapi: Bytes,
    pub(crate) docs: Bytes,
}

/// One read model.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) reader: Reader,
    pub(crate) belongs: Belongs,
}

impl QueryState {
    /// The state of a process.
    pub fn new(parts: QueryParts) -> Self {
        let model = |schema: &'static Schema| Model {
            name: schema.name,
            reader: parts.models.reader(schema),
            belongs: Belongs::default(),
        };
        let openapi = serde_json::to_value(&parts.openapi).unwrap_or_default();
        Self(Arc::new(Inner {
            orders: model(&projections::orders::SCHEMA),
            stock: model(&projections::stock::SCHEMA),
            products: model(&projections::products::SCHEMA),
            users: model(&projections::users::SCHEMA),
            sales: model(&projections::sales::SCHEMA),
            docs: crate::docs::page(&openapi).into(),
            openapi: openapi.to_string().into(),
            store: parts.store,
            past: parts.past,
            models: parts.models,
            search: parts.search,
            search_belongs: Belongs::default(),
            keys: parts.keys,
            projectors: parts.projectors,
            audit: parts.audit,
            currency: parts.currency,
            metrics: parts.metrics,
            health: parts.health,
            problems: parts.problems,
        }))
    }
}

impl Deref for QueryState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for QueryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryState").finish_non_exhaustive()
    }
}

impl fmt::Debug for QueryParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryParts").finish_non_exhaustive()
    }
}
