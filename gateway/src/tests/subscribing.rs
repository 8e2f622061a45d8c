use std::time::Duration;

use tonic::Code;

use super::{
    raw::{Answers, Raw},
    support::{ANY, NONE, all, event, events, forwards, position, serve, serve_with, soon},
};
use crate::{
    Access,
    messages::read::{
        Content, Expression, FilterBy, FilterOptions, Filtered, FromPosition, FromRevision,
        Options, ReadReq, ReadResp, What, Window,
    },
};

struct Subscribed(Answers);

impl Subscribed {
    async fn to(raw: &Raw, options: Options) -> Self {
        let request = ReadReq { options: Some(options.subscribe()) };
        let mut subscribed = Self(raw.streams("Read", &[request]).await);
        let first = subscribed.next().await;
        assert!(matches!(&first, Content::Confirmation(id) if !id.subscription_id.is_empty()));
        subscribed
    }

    async fn next(&mut self) -> Content {
        let answer: Option<ReadResp> = soon(self.0.next()).await;
        answer.unwrap().content.unwrap()
    }

    /// The next answers in few words: an event's revision in its stream, or what else it is.
    async fn told<const N: usize>(&mut self) -> [String; N] {
        let mut told = Vec::new();
        for _ in 0..N {
            told.push(match self.next().await {
                Content::Event(event) => {
                    let event = event.event.unwrap();
                    let stream = event.stream_identifier.unwrap().stream_name;
                    format!("{}@{}", String::from_utf8_lossy(&stream), event.stream_revision)
                }
                Content::Checkpoint(checkpoint) => format!("= {}", checkpoint.commit_position),
                Content::CaughtUp(caught_up) => {
                    assert!(caught_up.timestamp.is_some());
                    let position = caught_up.position.map(|at| at.commit_position);
                    format!("live {:?} {position:?}", caught_up.stream_revision)
                }
                other => panic!("{other:?}"),
            });
        }
        told.try_into().unwrap()
    }
}

fn from_end(stream: &str) -> Options {
    let mut options = forwards(stream, 0);
    let Some(What::Stream(stream)) = &mut options.what else { unreachable!() };
    stream.from = Some(FromRevision::End(()));
    options
}

fn from_start(stream: &str) -> Options {
    let mut options = forwards(stream, 0);
    let Some(What::Stream(stream)) = &mut options.what else { unreachable!() };
    stream.from = Some(FromRevision::Start(()));
    options
}

#[tokio::test]
async fn all_is_followed_from_behind_a_position() {
    let (_served, raw) = serve(Access::All).await;
    let mut empty = Subscribed::to(&raw, all(FromPosition::Start(()), false)).await;
    assert_eq!(empty.told().await, ["live None None"]);
    raw.append("a", NONE, &events(3)).await.success();
    assert_eq!(empty.told().await, ["a@0", "a@1", "a@2"]);

    let mut start = Subscribed::to(&raw, all(FromPosition::Start(()), false)).await;
    assert_eq!(start.told().await, ["a@0", "a@1", "a@2", "live None Some(3)"]);
    let mut behind = Subscribed::to(&raw, all(position(1), false)).await;
    assert_eq!(behind.told().await, ["a@1", "a@2", "live None Some(3)"]);
    let mut end = Subscribed::to(&raw, all(FromPosition::End(()), false)).await;
    assert_eq!(end.told().await, ["live None Some(3)"]);
    let mut future = Subscribed::to(&raw, all(position(4), false)).await;
    assert_eq!(future.told().await, ["live None Some(4)"]);

    raw.append("b", NONE, &events(2)).await.success();
    for live in [&mut empty, &mut start, &mut behind, &mut end] {
        assert_eq!(live.told().await, ["b@0", "b@1"]);
    }
    assert_eq!(future.told().await, ["b@1"]);
}

#[tokio::test]
async fn a_stream_is_followed_from_behind_a_revision() {
    let (_served, raw) = serve(Access::All).await;
    let mut early = Subscribed::to(&raw, from_start("a-1")).await;
    assert_eq!(early.told().await, ["live None None"]);
    raw.append("a-1", NONE, &events(3)).await.success();
    assert_eq!(early.told().await, ["a-1@0", "a-1@1", "a-1@2"]);

    let mut start = Subscribed::to(&raw, from_start("a-1")).await;
    assert_eq!(start.told().await, ["a-1@0", "a-1@1", "a-1@2", "live Some(2) None"]);
    let mut behind = Subscribed::to(&raw, forwards("a-1", 1)).await;
    assert_eq!(behind.told().await, ["a-1@2", "live Some(2) None"]);
    let mut end = Subscribed::to(&raw, from_end("a-1")).await;
    assert_eq!(end.told().await, ["live Some(2) None"]);
    let mut future = Subscribed::to(&raw, forwards("a-1", 3)).await;
    assert_eq!(future.told().await, ["live Some(3) None"]);

    raw.append("a-2", NONE, &events(2)).await.success();
    raw.append("a-1", ANY, &events(2)).await.success();
    for live in [&mut early, &mut start, &mut behind, &mut end] {
        assert_eq!(live.told().await, ["a-1@3", "a-1@4"]);
    }
    assert_eq!(future.told().await, ["a-1@4"]);
}

#[tokio::test]
async fn a_tombstone_ends_those_who_follow_the_stream_and_nobody_else() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(1)).await.success();
    let mut stream = Subscribed::to(&raw, forwards("a", 0)).await;
    let mut everything = Subscribed::to(&raw, all(position(1), false)).await;
    assert_eq!(stream.told().await, ["live Some(0) None"]);
    assert_eq!(everything.told().await, ["live None Some(1)"]);
    raw.delete("Tombstone", "a", ANY).await.unwrap();
    raw.append("b", NONE, &events(1)).await.success();
    assert_eq!(stream.told().await, ["a@9223372036854775807"]);
    let ended = soon(stream.0.end()).await;
    assert_eq!(
        (ended.code, ended.trailer("exception")),
        (Code::FailedPrecondition, "stream-deleted")
    );
    assert_eq!(everything.told().await, ["a@9223372036854775807", "b@0"]);

    let late =
        raw.streams("Read", &[ReadReq { options: Some(forwards("a", 0).subscribe()) }]).await;
    let ended = soon(late.end()).await;
    assert_eq!(
        (ended.code, ended.trailer("exception")),
        (Code::FailedPrecondition, "stream-deleted")
    );
}

#[tokio::test]
async fn a_deleted_stream_is_followed_into_its_next_life() {
    let (_served, raw) = serve(Access::All).await;
    raw.append("a", NONE, &events(3)).await.success();
    raw.delete("Delete", "a", ANY).await.unwrap();
    let mut subscribed = Subscribed::to(&raw, from_start("a")).await;
    assert_eq!(subscribed.told().await, ["live None None"]);
    raw.append("a", NONE, &events(2)).await.success();
    assert_eq!(subscribed.told().await, ["a@3", "a@4"]);
    let mut again = Subscribed::to(&raw, from_start("a")).await;
    assert_eq!(again.told().await, ["a@3", "a@4", "live Some(4) None"]);
}

fn types(prefix: &str, window: u32, multiplier: u32) -> Option<Filtered> {
    let prefix = vec![prefix.to_owned()];
    Some(Filtered::Filter(FilterOptions {
        by: Some(FilterBy::EventType(Expression { regex: String::new(), prefix })),
        window: Some(Window::Max(window)),
        checkpoint_interval_multiplier: multiplier,
    }))
}

#[tokio::test]
async fn who_filters_is_told_how_far_the_log_was_looked_at() {
    let (_served, raw) = serve(Access::All).await;
    let kinds = ["A", "B", "B", "B", "A", "B", "B"].map(|kind| event(kind, "{}"));
    raw.append("s", NONE, &kinds).await.success();
    let options = Options { filter: types("A", 1, 2), ..all(FromPosition::Start(()), false) };
    let mut subscribed = Subscribed::to(&raw, options).await;
    let caught_up = ["s@0", "= 2", "= 4", "s@4", "= 6", "= 7", "live None Some(7)"];
    assert_eq!(subscribed.told().await, caught_up);
    let more = ["B", "B", "B", "A"].map(|kind| event(kind, "{}"));
    raw.append("s", ANY, &more).await.success();
    assert_eq!(subscribed.told().await, ["= 9", "s@10", "= 11"]);

    // With nothing behind the checkpoint there is none to tell.
    let options = Options { filter: types("A", 1, 1), ..all(position(11), false) };
    let mut at_end = Subscribed::to(&raw, options).await;
    assert_eq!(at_end.told().await, ["live None Some(11)"]);
    raw.append("s", ANY, &[event("B", "{}")]).await.success();
    assert_eq!(at_end.told().await, ["= 12"]);

    // Going on behind a checkpoint misses nothing and repeats nothing.
    let options = Options { filter: types("A", 10, 10), ..all(position(4), false) };
    let mut resumed = Subscribed::to(&raw, options).await;
    assert_eq!(resumed.told().await, ["s@4", "s@10", "= 12", "live None Some(12)"]);
}

#[tokio::test]
async fn many_events_arrive_once_and_in_order_while_others_are_written() {
    let (_served, raw) = serve(Access::All).await;
    let writer = raw.clone();
    let written = tokio::spawn(async move {
        for _ in 0..50 {
            writer.append("a-1", ANY, &events(100)).await.success();
            writer.append("a-2", ANY, &events(100)).await.success();
        }
    });
    let mut one = Subscribed::to(&raw, from_start("a-1")).await;
    let mut everything = Subscribed::to(&raw, all(FromPosition::Start(()), false)).await;
    let mut next = 0;
    while next < 5_000 {
        if let Content::Event(event) = one.next().await {
            assert_eq!(event.event.unwrap().stream_revision, next);
            next += 1;
        }
    }
    let mut next = 1;
    while next <= 10_000 {
        if let Content::Event(event) = everything.next().await {
            assert_eq!(event.event.unwrap().commit_position, next);
            next += 1;
        }
    }
    written.await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_gateway_is_told_so_that_clients_come_back() {
    // Longer than this test waits.
    let drain = Duration::from_secs(60 * 60);
    let options = crate::Options { access: Access::All, drain, ..crate::Options::default() };
    let (mut served, raw) = serve_with(options).await;
    let mut subscribed = Subscribed::to(&raw, all(FromPosition::Start(()), false)).await;
    assert_eq!(subscribed.told().await, ["live None None"]);
    let _ = served.end.take().unwrap().send(());
    let ended = soon(subscribed.0.end()).await;
    assert_eq!((ended.code, ended.message.as_str()), (Code::Unavailable, "Server Is Not Ready"));
    soon(served.served).await.unwrap().unwrap();
}
