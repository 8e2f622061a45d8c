//! What the official Rust client sees.

use eventstore::{
    AppendToStreamOptions, BatchAppendOptions, Client, DeleteStreamOptions, Error, EventData,
    Position, ReadAllOptions, ReadStreamOptions, StreamMetadataBuilder, StreamMetadataResult,
    StreamPosition, StreamState, SubscribeToAllOptions, SubscribeToStreamOptions,
    SubscriptionEvent, SubscriptionFilter, TombstoneStreamOptions,
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
    assert!(matches!(conflict, Error::WrongExpectedVersion { .. }), "{conflict:?}");

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
    assert!(matches!(missing, Error::ResourceNotFound), "{missing:?}");
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

async fn revisions(client: &Client, stream: &str) -> Result<Vec<u64>, Error> {
    let mut read = client.read_stream(stream, &ReadStreamOptions::default()).await?;
    let mut seen = Vec::new();
    while let Some(event) = read.next().await? {
        seen.push(event.get_original_event().revision);
    }
    Ok(seen)
}

#[tokio::test]
async fn streams_are_deleted_and_ended() {
    let served = serve(Access::All).await;
    let client = served.client();
    append(&client, "count-1", 3).await;
    let wrong = DeleteStreamOptions::default().stream_state(StreamState::StreamRevision(7));
    client.delete_stream("count-1", &wrong).await.unwrap_err();
    let deleted = client.delete_stream("count-1", &DeleteStreamOptions::default()).await.unwrap();
    assert_eq!(deleted, Some(Position { commit: 4, prepare: 4 }));
    assert!(matches!(revisions(&client, "count-1").await, Err(Error::ResourceNotFound)));
    append(&client, "count-1", 2).await;
    assert_eq!(revisions(&client, "count-1").await.unwrap(), vec![3, 4]);

    client.tombstone_stream("count-1", &TombstoneStreamOptions::default()).await.unwrap();
    assert!(matches!(revisions(&client, "count-1").await, Err(Error::ResourceDeleted)));
    let options = AppendToStreamOptions::default();
    let refused = client.append_to_stream("count-1", &options, events(1)).await.unwrap_err();
    assert!(matches!(refused, Error::ResourceDeleted), "{refused:?}");
    let metadata = client.get_stream_metadata("count-1", &ReadStreamOptions::default()).await;
    assert!(matches!(metadata.unwrap(), StreamMetadataResult::Deleted));
    drop(client);
    served.end().await;
}

#[tokio::test]
async fn metadata_is_written_and_read() {
    let served = serve(Access::All).await;
    let client = served.client();
    append(&client, "count-1", 5).await;
    let metadata =
        StreamMetadataBuilder::new().max_count(2).insert_custom_property("mine", "x").build();
    let options = AppendToStreamOptions::default();
    client.set_stream_metadata("count-1", &options, &metadata).await.unwrap();
    assert_eq!(revisions(&client, "count-1").await.unwrap(), vec![3, 4]);
    let read = client.get_stream_metadata("count-1", &ReadStreamOptions::default()).await.unwrap();
    let StreamMetadataResult::Success(read) = read else { panic!("no metadata") };
    assert_eq!(*read.metadata(), metadata);
    let none = client.get_stream_metadata("count-2", &ReadStreamOptions::default()).await.unwrap();
    assert!(matches!(none, StreamMetadataResult::NotFound));
    drop(client);
    served.end().await;
}

#[tokio::test]
async fn batches_are_answered_one_by_one() {
    let served = serve(Access::Append).await;
    let client = served.client();
    let batch = client.batch_append(&BatchAppendOptions::default()).await.unwrap();
    for n in 0..20 {
        let written = batch.append_to_stream("count-1", StreamState::Any, events(5)).await.unwrap();
        assert_eq!(written.current_revision(), Some(5 * n + 4));
        let at = 5 * n + 5;
        assert_eq!(written.current_position(), Some(Position { commit: at, prepare: at }));
    }
    // The client hands the status of a batch on as it is.
    let wrong = batch.append_to_stream("count-1", StreamState::NoStream, events(1)).await;
    let Err(Error::Grpc { code, message }) = wrong else { panic!("{wrong:?}") };
    assert_eq!(
        (format!("{code:?}").as_str(), message.as_str()),
        ("AlreadyExists", "WrongExpectedVersion")
    );
    drop((batch, client));
    served.end().await;
}

#[tokio::test]
async fn all_is_filtered() {
    let served = serve(Access::All).await;
    let client = served.client();
    for stream in ["count-1", "other-1", "count-2"] {
        append(&client, stream, 2).await;
    }
    client.delete_stream("other-1", &DeleteStreamOptions::default()).await.unwrap();
    let by_stream = SubscriptionFilter::on_stream_name().add_prefix("count-");
    let by_type = SubscriptionFilter::on_event_type().exclude_system_events();
    for (filter, expected) in [(by_stream, vec![1, 2, 5, 6]), (by_type, vec![1, 2, 3, 4, 5, 6])] {
        let options = ReadAllOptions::default().filter(filter.clone());
        let mut read = client.read_all(&options).await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = read.next().await.unwrap() {
            seen.push(event.get_original_event().position.commit);
        }
        assert_eq!(seen, expected);
        let options = SubscribeToAllOptions::default().filter(filter);
        let mut subscription = client.subscribe_to_all(&options).await;
        for commit in expected {
            let event = subscription.next().await.unwrap();
            assert_eq!(event.get_original_event().position.commit, commit);
        }
    }
    drop(client);
    served.end().await;
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let served = serve(Access::Read).await;
    let client = served.client();
    let options = AppendToStreamOptions::default();
    let denied = client.append_to_stream("count-1", &options, events(1)).await.unwrap_err();
    assert!(matches!(denied, Error::AccessDenied), "{denied:?}");
    let denied = client.delete_stream("count-1", &DeleteStreamOptions::default()).await;
    assert!(matches!(denied, Err(Error::AccessDenied)), "{denied:?}");
    assert!(!served.store.others_may_write());
    drop(client);
    served.end().await;
}

#[tokio::test]
async fn a_cluster_of_one_is_found_by_its_gossip() {
    let served = serve(Access::Append).await;
    let port = served.address.port();
    let url = format!("esdb://127.0.0.1:{port},localhost:{port}?tls=false");
    let client = Client::new(url.parse().unwrap()).unwrap();
    append(&client, "count-1", 1).await;
    assert_eq!(revisions(&client, "count-1").await.unwrap(), vec![0]);
    assert!(served.store.others_may_write());
    drop(client);
    served.end().await;
}
