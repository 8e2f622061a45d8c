//! What the folds leave behind does not depend on where batches are cut, nor on how they are
//! written; and it is what the events say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "../../infra/tests/servers/mod.rs"]
mod servers;

use common::{Step, apply, dump, logged, shop, steps};
use event_schemas::{Logged, StoreId};
use infra::read_models::ReadModels;
use projections::{
    Projection, Sink, SqlSink, orders::Orders, products::Products, sales::Sales, stock::Stock,
    users::Users,
};
use proptest::prelude::*;
use servers::{Place, over_every_engine};
use tokio::runtime::Runtime;
use uuid::Uuid;

const STORE: StoreId = StoreId(Uuid::from_u128(1));

/// Posts `events` live, cut at `cuts`; every third time the projector starts anew.
async fn live<P: Projection>(models: &ReadModels, events: &[Logged], cuts: &[usize]) -> String {
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
    dump(models, P::SCHEMA).await
}

/// Posts `events` anew, in one batch.
async fn anew<P: Projection>(models: &ReadModels, events: &[Logged]) -> String {
    let mut sink = SqlSink::<P>::anew(models.clone(), STORE);
    let checkpoint = sink.checkpoint().await.unwrap();
    apply(&mut sink, checkpoint, events).await.unwrap();
    sink.install().await.unwrap();
    dump(models, P::SCHEMA).await
}

async fn same<P: Projection>(events: &[Logged], cuts: &[usize]) {
    let dirs = [(); 2].map(|()| Place::directory());
    let live = live::<P>(&dirs[0].models().await, events, cuts).await;
    let anew = anew::<P>(&dirs[1].models().await, events).await;
    assert_eq!(live, anew, "{}", P::SCHEMA.name);
}

/// What was posted live in SQLite is what every other engine holds, posted live and anew.
async fn same_in<P: Projection>(models: &ReadModels, events: &[Logged], cuts: &[usize]) {
    let dir = Place::directory();
    let expected = live::<P>(&dir.models().await, events, &[]).await;
    assert_eq!(live::<P>(models, events, cuts).await, expected, "{}", P::SCHEMA.name);
    assert_eq!(anew::<P>(models, events).await, expected, "{}", P::SCHEMA.name);
}

over_every_engine!(rows_do_not_depend_on_the_engine);

async fn rows_do_not_depend_on_the_engine(place: Place) {
    let models = place.models().await;
    let step = |at: u16| Step { kind: (at % 24) as u8, a: at * 7, b: at * 13 };
    let events = history(&(0..700).map(step).collect::<Vec<_>>());
    let cuts = [1, 3, 50, 51, 200, 400, 401];
    same_in::<Orders>(&models, &events, &cuts).await;
    same_in::<Stock>(&models, &events, &cuts).await;
    same_in::<Products>(&models, &events, &cuts).await;
    same_in::<Users>(&models, &events, &cuts).await;
    same_in::<Sales>(&models, &events, &cuts).await;
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
        runtime.block_on(async {
            same::<Orders>(&events, &cuts).await;
            same::<Stock>(&events, &cuts).await;
            same::<Products>(&events, &cuts).await;
            same::<Users>(&events, &cuts).await;
            same::<Sales>(&events, &cuts).await;
        });
    }
}
