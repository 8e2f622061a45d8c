//! What the official Rust client sees.

use eventstore::{
    AppendToStreamOptions, Client, EventData, Position, ReadAllOptions, ReadStreamOptions,
    StreamPosition, StreamState, SubscribeToAllOptions, SubscribeToStreamOptions,
    SubscriptionEvent,
};
use gateway::Access;
use uuid::Uuid;

use crate::support::serve;

fn events(count: u64) -> Vec<EventData> {
    let event = |n: u64| EventData::json("Counted", &n).unwrap().id(Uuid::new_v4());
    (0..count).map(event).collect()
}

async fn append(client: &Client, stream: &str, count: u64) {
    let options = AppendToStreamOptions::default();
    client.append_to_stream(stream, &options, events(count)).await.unwrap();
}

#[tokio::test]
async fn appends_are_read_back_in_both_directions() {
    let served = serve(Access::Append).await;
    let client = served.client();
    let none = AppendToStreamOptions::default().stream_state(StreamState::NoStream);
    let sent = events(2_500);
    let written = client.append_to_stream("count-1", &none, sent.clone()).await.unwrap();
    assert_eq!(written.next_expected_version, 2_499);
    assert_eq!(written.position, Position { commit: 2_500, prepare: 2_500 });
    let again = client.append_to_stream("count-1", &none, sent).await.unwrap();
    assert_eq!(again.position, written.position);
    let conflict = client.append_to_stream("count-1", &none, events(1)).await.unwrap_err();
    assert!(matches!(conflict, eventstore::Error::WrongExpectedVersion { .. }), "{conflict:?}");

    for backwards in [false, true] {
        let mut expected: Vec<u64> = (0..2_500).collect();
        let options = ReadStreamOptions::default();
        let all = ReadAllOptions::default();
        let (options, all) = if backwards {
            expected.reverse();
            (
                options.backwards().position(StreamPosition::End),
                all.backwards().position(StreamPosition::End),
            )
        } else {
            (options.forwards(), all.forwards())
        };
        let mut read = client.read_stream("count-1", &options).await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = read.next().await.unwrap() {
            seen.push(event.get_original_event().revision);
        }
        assert_eq!(seen, expected);
        let mut read = client.read_all(&all).await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = read.next().await.unwrap() {
            seen.push(event.get_original_event().position.commit - 1);
        }
        assert_eq!(seen, expected);
    }
    let missing = client.read_stream("count-2", &ReadStreamOptions::default()).await;
    let missing = missing.unwrap().next().await.unwrap_err();
    assert!(matches!(missing, eventstore::Error::ResourceNotFound), "{missing:?}");
    drop(client);
    served.end().await;
}

#[tokio::test]
async fn subscriptions_catch_up_and_go_live() {
    let served = serve(Access::Append).await;
    let client = served.client();
    append(&client, "count-1", 3).await;
    let from = SubscribeToAllOptions::default()
        .position(StreamPosition::Position(Position { commit: 1, prepare: 1 }));
    let mut all = client.subscribe_to_all(&from).await;
    let from = SubscribeToStreamOptions::default().start_from(StreamPosition::Position(0));
    let mut one = client.subscribe_to_stream("count-1", &from).await;
    for subscription in [&mut all, &mut one] {
        let confirmed = subscription.next_subscription_event().await.unwrap();
        assert!(matches!(confirmed, SubscriptionEvent::Confirmed(_)), "{confirmed:?}");
        for revision in 1..3 {
            assert_eq!(subscription.next().await.unwrap().get_original_event().revision, revision);
        }
        let caught_up = subscription.next_subscription_event().await.unwrap();
        assert!(matches!(caught_up, SubscriptionEvent::CaughtUp(_)), "{caught_up:?}");
    }
    append(&client, "count-2", 1).await;
    append(&client, "count-1", 1).await;
    let live = all.next().await.unwrap();
    assert_eq!(live.get_original_event().stream_id(), "count-2");
    for subscription in [&mut all, &mut one] {
        assert_eq!(subscription.next().await.unwrap().get_original_event().revision, 3);
    }
    served.end().await;
}
