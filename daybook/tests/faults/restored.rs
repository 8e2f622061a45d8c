//! The event store is put back from a copy of yesterday's: what was posted after it is of another
//! history, is not answered any more, and is mended by a rebuild.

use crate::{
    CLIENTS, at_our_pace,
    cluster::{Cluster, QUERIES, all_posted, posted, projections},
    common::Server,
    goes_on,
    orders::{SKUS, ids, stock_up},
    until,
};

#[test]
fn an_event_store_restored_from_yesterdays_copy() {
    let Some(mut cluster) = Cluster::new() else { return };
    let start = |cluster: &Cluster| {
        let nodes = [("c1", "command"), ("r1", "relay"), ("p1", "projector")];
        nodes.map(|(name, role)| cluster.node(name, role))
    };
    let [command, relay, projector] = start(&cluster);
    let nodes = [command, relay, projector, cluster.node("q1", "query")];
    stock_up(&nodes[0], 1_000_000);
    let yesterday = at_our_pace();
    yesterday.placing(&[&nodes[0]], CLIENTS, || goes_on(&yesterday, &nodes[3]));
    all_posted(&nodes[3]);

    // The copy, and then today.
    cluster.stop_store(false);
    let copy = std::fs::read(cluster.log()).unwrap();
    cluster.start_store();
    let today = at_our_pace();
    today.placing(&[&nodes[0]], CLIENTS, || {
        today.more(50);
        goes_on(&today, &nodes[3]);
    });
    all_posted(&nodes[3]);

    // Yesterday's takes its place. Whoever follows the log remembers today, ends, and is started
    // again: what it knows of times and states is of another history.
    cluster.stop_store(false);
    std::fs::write(cluster.log(), copy).unwrap();
    cluster.start_store();
    let [command, relay, projector, query] = nodes;
    let ended = [command, relay, projector, query].map(Server::wait);
    assert!(ended.iter().all(|status| status.code() == Some(1)), "{ended:?}");
    let [command, relay, projector] = start(&cluster);
    let query = cluster.node("q1", "query");
    let noticed = until(|| query.get("/v1/orders").status == 503);

    for node in [&projector, &query] {
        until(|| {
            let states = projections(node).unwrap_or_default();
            !states.is_empty() && states.iter().all(|item| item["state"] == "diverged")
        });
    }
    for path in QUERIES {
        // What was asked a moment ago is looked at beside the first answer.
        until(|| query.get(path).status == 503);
        let answer = query.get(path).expect(503);
        assert_eq!(answer.problem(), "projection-diverged", "{path}");
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
    // Commands go on with what there is: a new order on the old log, and it is not posted.
    let more = at_our_pace();
    more.placing(&[&command], CLIENTS, || more.more(20));
    let said = projections(&query).unwrap();
    assert!(said.iter().all(|item| item["state"] == "diverged"), "{said:?}");
    assert_eq!(query.get("/v1/orders").expect(503).problem(), "projection-diverged");

    assert!(projector.signal("TERM").success());
    cluster.rebuild();
    let projector = cluster.node("p1", "projector");
    let mended = posted(&query, &more.newest());
    all_posted(&query);
    // Of yesterday and of after the restoration everything is there, of today nothing.
    let stands = ids(cluster.store(), "OrderPlaced");
    assert_eq!(stands.len(), yesterday.count() + more.count());
    for sku in SKUS {
        let stock = query.get(&format!("/v1/stock/{sku}")).expect(200).json();
        let sold = yesterday.sold(sku) + more.sold(sku);
        assert_eq!(stock["reserved"], sold, "{sku}: {stock}");
    }
    assert!(projector.signal("TERM").success());
    cluster.equals_a_rebuild();
    println!(
        "restored: {} orders of yesterday, {} of today gone, {} after it; a process that only reads said so {noticed:.1?} after its start, answered {mended:.1?} after the rebuild",
        yesterday.count(),
        today.count(),
        more.count(),
    );
    drop((command, relay));
}
