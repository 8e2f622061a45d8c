use std::time::Duration;

use event_schemas::{ExpectedRevision, NewEvent, Position, StreamName};
use infra::bus::{Bus, BusUrl, Relay, RelayFrom, RelayState, subject};
use uuid::Uuid;

use crate::{
    proxy::{Mode, Proxy},
    support::{Running, Scene, headers},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_event_goes_out_once_and_in_order() {
    let Some(scene) = Scene::new().await else { return };
    scene.append(25).await;
    let mut relay = scene.relay(RelayFrom::Start).await;
    relay.reaches(Position(25)).await;
    scene.append(3_000).await;
    relay.reaches(Position(3_025)).await;
    scene.agrees(Position::START).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_begins_with_what_comes_from_now_on() {
    let Some(scene) = Scene::new().await else { return };
    scene.append(25).await;
    let mut relay = scene.relay(RelayFrom::Head).await;
    relay.is(RelayState::Working).await;
    scene.append(7).await;
    relay.reaches(Position(32)).await;
    scene.agrees(Position(25)).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_says_what_its_event_is_and_where_it_stands() {
    let Some(scene) = Scene::new().await else { return };
    let metadata = r#"{"schema_version":2,"occurred_at":"2026-11-20T09:15:00.000000Z",
        "recorded_at":"2026-11-21T09:15:00.000000Z",
        "actor":{"id":"zoë","kind":"user","proof":"header"},
        "command_id":"00000000-0000-0000-0000-000000000001","$correlationId":"a \"b\" 100%",
        "$causationId":"00000000-0000-0000-0000-000000000002",
        "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
    let id = Uuid::new_v4();
    let data = "{\"a\":\"\u{1F600}\"}";
    let told = NewEvent::raw(id, "So it.is*".into(), data.into(), metadata.into());
    let stream = StreamName::parse("ord er-1 ü").unwrap();
    scene.store.append(stream, ExpectedRevision::Any, vec![told]).await.unwrap();
    let mut relay = scene.relay(RelayFrom::Start).await;
    relay.reaches(Position(1)).await;
    let messages = scene.messages().await;
    let message = &messages[0];
    let store = scene.store.id();
    assert_eq!(message.subject.as_str(), format!("{}.ord%20er.So%20it%2Eis%2A", scene.name));
    assert_eq!(message.payload, data);
    let headers = headers(message);
    for (name, value) in [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id.to_string()),
        ("ce-source", format!("urn:uuid:{store}")),
        ("ce-type", "So%20it.is*".to_owned()),
        ("ce-subject", "ord%20er-1%20%C3%BC".to_owned()),
        ("ce-datacontenttype", "application/json".to_owned()),
        ("ce-time", "2026-11-21T09:15:00.000000Z".to_owned()),
        ("ce-schemaversion", "2".to_owned()),
        ("ce-occurredat", "2026-11-20T09:15:00.000000Z".to_owned()),
        ("ce-actorid", "zo%C3%AB".to_owned()),
        ("ce-actorkind", "user".to_owned()),
        ("ce-actorproof", "header".to_owned()),
        ("ce-commandid", "00000000-0000-0000-0000-000000000001".to_owned()),
        ("ce-correlationid", "a%20%22b%22%20100%25".to_owned()),
        ("ce-causationid", "00000000-0000-0000-0000-000000000002".to_owned()),
        ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ("Daybook-Store", store.to_string()),
        ("Daybook-Position", "1".to_owned()),
        ("Daybook-Before", "0".to_owned()),
        ("Daybook-Revision", "0".to_owned()),
    ] {
        assert_eq!(headers.get(name), Some(&value), "{name}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_what_is_heard() {
    let Some(scene) = Scene::new().await else { return };
    let mut relay = scene.relay(RelayFrom::Head).await;
    relay.is(RelayState::Working).await;
    let bus = scene.bus().await;
    let mut consumer = bus.consumer("c").await.unwrap().expect("the relay has made the stream");
    scene.append(2_000).await;
    // Larger than the server takes, with its metadata.
    let large = NewEvent::raw(
        Uuid::new_v4(),
        "Large".into(),
        format!("\"{}\"", "x".repeat(700_000)).into(),
        format!("\"{}\"", "y".repeat(300_000)).into(),
    );
    let stream = StreamName::new("foreign", "1");
    scene.store.append(stream, ExpectedRevision::Any, vec![large]).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2_001 {
        let more = consumer.next().await.unwrap();
        more.last().unwrap().acknowledge().await.unwrap();
        heard.extend(more);
    }
    assert_eq!(heard.last().unwrap().waiting, 0);
    let large = heard.pop().unwrap().message.unwrap();
    assert!(large.event.is_none());
    assert_eq!((large.position, large.before), (Position(2_001), Position(2_000)));
    for (delivery, position) in heard.into_iter().zip(1..) {
        let message = delivery.message.unwrap();
        let logged = scene.store.event_at(Position(position)).await.unwrap().unwrap();
        assert_eq!(message.store, scene.store.id());
        assert_eq!(message.last, Some((logged.position, logged.id)));
        let event = message.event.unwrap();
        assert_eq!(event.position, logged.position);
        assert_eq!((event.id, &event.stream), (logged.id, &logged.stream));
        assert_eq!((event.revision, &event.event_type), (logged.revision, &logged.event_type));
        assert_eq!((&event.data, &event.metadata), (&logged.data, &logged.metadata));
        assert_eq!(subject("n", &event), "n.order.Happened");
    }
    // What was acknowledged does not come again.
    drop(consumer);
    let mut consumer = bus.consumer("c").await.unwrap().unwrap();
    scene.append(1).await;
    let next = consumer.next().await.unwrap();
    assert_eq!(next[0].message.as_ref().unwrap().position, Position(2_002));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_relays_one_works_and_the_other_takes_over() {
    let Some(scene) = Scene::new().await else { return };
    let mut first = scene.relay(RelayFrom::Start).await;
    first.is(RelayState::Working).await;
    scene.append(10).await;
    first.reaches(Position(10)).await;
    let mut second = scene.relay(RelayFrom::Start).await;
    second.is(RelayState::Working).await;
    scene.append(500).await;
    // Both want to publish; the one that comes second stands by.
    let (mut works, mut stands_by) = tokio::select! {
        _ = first.is(RelayState::StandingBy) => (second, first),
        _ = second.is(RelayState::StandingBy) => (first, second),
    };
    works.reaches(Position(510)).await;
    scene.append(2_000).await;
    // Between publishing and acknowledgement, wherever that is.
    works.reaches(Position(600)).await;
    works.kill();
    scene.append(100).await;
    stands_by.is(RelayState::Working).await;
    stands_by.reaches(Position(2_610)).await;
    scene.agrees(Position::START).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_again_and_again_loses_and_doubles_nothing() {
    let Some(scene) = Scene::new().await else { return };
    let appends = async {
        for _ in 0..60 {
            scene.append(50).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let kills = async {
        for round in 1_u64..=20 {
            let mut relay = scene.relay(RelayFrom::Start).await;
            relay.reaches(Position(100 * round)).await;
            relay.kill();
        }
    };
    tokio::join!(appends, kills);
    scene.relay(RelayFrom::Start).await.reaches(Position(3_000)).await;
    scene.agrees(Position::START).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_publishes_is_gone_past() {
    let Some(scene) = Scene::new().await else { return };
    let mut relay = scene.relay(RelayFrom::Start).await;
    scene.append(20).await;
    relay.reaches(Position(20)).await;
    let jetstream = scene.jetstream().await;
    let subject = format!("{}.order.Rubbish", scene.name);
    jetstream.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    scene.append(1).await;
    relay.reaches(Position(21)).await;
    relay.is(RelayState::Working).await;
    scene.append(20).await;
    relay.reaches(Position(41)).await;
    let messages = scene.messages().await;
    let positions: Vec<u64> = messages
        .iter()
        .filter(|message| message.headers.is_some())
        .map(|message| headers(message)["Daybook-Position"].parse().unwrap())
        .collect();
    // What the store held when it began anew is read from the store.
    assert_eq!(positions, (1..=20).chain(22..=41).collect::<Vec<_>>());
    assert_eq!(headers(&messages[21])["Daybook-Before"], "21");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_log_is_gone_on_with() {
    let Some(one) = Scene::new().await else { return };
    let Some(mut other) = Scene::new().await else { return };
    other.name.clone_from(&one.name);
    one.append(30).await;
    let mut relay = one.relay(RelayFrom::Start).await;
    relay.reaches(Position(30)).await;
    drop(relay);
    other.append(5).await;
    let mut relay = other.relay(RelayFrom::Start).await;
    relay.is(RelayState::Working).await;
    other.append(5).await;
    relay.reaches(Position(10)).await;
    let messages = other.messages().await;
    assert_eq!(messages.len(), 35);
    assert_eq!(headers(&messages[30])["Daybook-Before"], "5");
    assert_eq!(headers(&messages[30])["Daybook-Store"], other.store.id().to_string());
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_purged_or_deleted_goes_on() {
    let Some(scene) = Scene::new().await else { return };
    let mut relay = scene.relay(RelayFrom::Head).await;
    relay.is(RelayState::Working).await;
    scene.append(20).await;
    relay.reaches(Position(20)).await;
    scene.stream().await.purge().await.unwrap();
    scene.append(20).await;
    relay.reaches(Position(40)).await;
    scene.agrees(Position(20)).await;
    scene.jetstream().await.delete_stream(&scene.name).await.unwrap();
    scene.append(20).await;
    relay.is(RelayState::Waiting).await;
    relay.is(RelayState::Working).await;
    scene.append(20).await;
    relay.reaches(Position(80)).await;
    assert!(scene.messages().await.len() >= 20);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_restored_from_a_copy_is_another_log_for_the_relay() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.append(20).await;
    scene.store.close().await.unwrap();
    let copy = scene.copy();
    scene.reopen().await;
    let mut relay = scene.relay(RelayFrom::Start).await;
    scene.append(20).await;
    relay.reaches(Position(40)).await;
    drop(relay);
    scene.store.close().await.unwrap();
    scene.restore(&copy);
    scene.reopen().await;
    scene.append(30).await;
    let mut relay = scene.relay(RelayFrom::Start).await;
    relay.is(RelayState::Working).await;
    scene.append(10).await;
    relay.reaches(Position(60)).await;
    let messages = scene.messages().await;
    assert_eq!(messages.len(), 50);
    assert_eq!(headers(&messages[40])["Daybook-Before"], "50");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_waited_for() {
    let Some(scene) = Scene::new().await else { return };
    let proxy = Proxy::start(scene.address()).await;
    proxy.set(Mode::Freeze);
    let url: BusUrl = format!("nats://{}/{}", proxy.address, scene.name).parse().unwrap();
    let bus = Bus::connect(&url).await.unwrap();
    let mut relay = Running::start(Relay::new(scene.store.clone(), bus.clone(), RelayFrom::Start));
    scene.append(20).await;
    let waiting = relay.is(RelayState::Waiting).await;
    assert_eq!(waiting.position, Position::START);
    assert!(!bus.is_connected());
    proxy.set(Mode::Pass);
    relay.reaches(Position(20)).await;
    assert!(bus.is_connected());
    for _ in 0..5 {
        proxy.cut();
        scene.append(200).await;
    }
    relay.reaches(Position(1_020)).await;
    // The server takes what is sent, and its acknowledgements do not arrive.
    proxy.set(Mode::HoldAnswers);
    scene.append(200).await;
    relay.is(RelayState::Waiting).await;
    proxy.cut();
    proxy.set(Mode::Pass);
    relay.reaches(Position(1_220)).await;
    scene.agrees(Position::START).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_nobody_listens_at_is_said_to_be_away() {
    // Nothing listens on the discard port of this machine.
    let url: BusUrl = "nats://user:secret@127.0.0.1:9/x".parse().unwrap();
    let bus = Bus::connect(&url).await.unwrap();
    assert!(!bus.is_connected());
    let error = bus.consumer("c").await.unwrap_err().to_string();
    assert!(error.starts_with("the bus: ") && !error.contains("secret"), "{error}");
}
