//! What the folds leave behind does not depend on where batches are cut, nor on how they are
//! written; and it is what the events say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Step, apply, dump, logged, shop, steps};
use event_schemas::{Logged, StoreId};
use infra::read_models::ReadModels;
use projections::{
    Projection, Sink, SqlSink, orders::Orders, products::Products, sales::Sales, stock::Stock,
    users::Users,
};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

const STORE: StoreId = StoreId(Uuid::from_u128(1));

/// Posts `events` live, cut at `cuts`; every third time the projector starts anew.
async fn live<P: Projection>(events: &[Logged], cuts: &[usize]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let models = ReadModels::sqlite(dir.path());
    let mut sink = SqlSink::<P>::live(models.clone(), STORE);
    let mut checkpoint = sink.checkpoint().await.unwrap();
    let mut done = 0;
    for (at, cut) in cuts.iter().copied().chain([events.len()]).enumerate() {
        let cut = cut.clamp(done, events.len());
        checkpoint = apply(&mut sink, checkpoint, &events[done..cut]).await.unwrap();
        done = cut;
        if at % 3 == 2 {
            sink = SqlSink::live(models.clone(), STORE);
        }
        assert_eq!(sink.checkpoint().await.unwrap(), checkpoint);
    }
    dump(&models, P::SCHEMA).await
}

/// Posts `events` anew, in one batch.
async fn anew<P: Projection>(events: &[Logged]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let models = ReadModels::sqlite(dir.path());
    let mut sink = SqlSink::<P>::anew(models.clone(), STORE);
    let checkpoint = sink.checkpoint().await.unwrap();
    apply(&mut sink, checkpoint, events).await.unwrap();
    sink.install().await.unwrap();
    dump(&models, P::SCHEMA).await
}

fn same<P: Projection>(runtime: &Runtime, events: &[Logged], cuts: &[usize]) {
    let (live, anew) =
        runtime.block_on(async { (live::<P>(events, cuts).await, anew::<P>(events).await) });
    assert_eq!(live, anew, "{}", P::SCHEMA.name);
}

fn history(steps: &[Step]) -> Vec<Logged> {
    logged(&shop(steps).log)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_do_not_depend_on_batches(
        steps in steps(120),
        mut cuts in prop::collection::vec(0..150_usize, 0..12),
    ) {
        let runtime = Runtime::new().unwrap();
        let events = history(&steps);
        cuts.sort_unstable();
        same::<Orders>(&runtime, &events, &cuts);
        same::<Stock>(&runtime, &events, &cuts);
        same::<Products>(&runtime, &events, &cuts);
        same::<Users>(&runtime, &events, &cuts);
        same::<Sales>(&runtime, &events, &cuts);
    }
}
