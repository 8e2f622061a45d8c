//! A gateway over a store of its own, and the requests that most tests make.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use event_schemas::StreamName;
use infra::event_store::{EventStore, SqliteOptions};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use super::raw::{Ended, Raw};
use crate::{
    Access, Options,
    messages::{
        append::{
            AppendContent, AppendReq, AppendResp, AppendResult, Expected, ProposedMessage,
            StreamExpectation, Success, WrongExpectedVersion,
        },
        delete::{DeleteReq, DeleteResp},
        read::{
            AllOptions, Content, ControlOption, Count, Filtered, FromPosition, FromRevision,
            Options as ReadOptions, ReadReq, ReadResp, RecordedEvent, StreamOptions, UuidOption,
            UuidShape, What,
        },
        shared::{AllPosition, StreamIdentifier},
    },
    names,
};

/// Fails a test that waits for what does not come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(180), future).await.expect("it takes too long")
}

pub(crate) struct Served {
    pub(crate) store: EventStore,
    pub(crate) address: SocketAddr,
    pub(crate) end: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

/// A gateway, and a connection to it.
pub(crate) async fn serve(access: Access) -> (Served, Raw) {
    serve_with(Options { access, ..Options::default() }).await
}

pub(crate) async fn serve_with(options: Options) -> (Served, Raw) {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteOptions::new(folder.path().join("events.sqlite"));
    let store = EventStore::open_sqlite(file).await.unwrap();
    let listener = infra::http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let served = tokio::spawn(crate::serve(store.clone(), listener, options, async {
        let _ = ended.await;
    }));
    let served = Served { store, address, end: Some(end), served, _folder: folder };
    let raw = Raw::connect(address).await;
    (served, raw)
}

pub(crate) fn identifier(stream: &str) -> Option<StreamIdentifier> {
    Some(names::identifier(&StreamName::parse(stream).unwrap()))
}

pub(crate) fn expectation(stream: &str, expected: Expected) -> StreamExpectation {
    StreamExpectation { stream_identifier: identifier(stream), expected: Some(expected) }
}

pub(crate) const ANY: Expected = Expected::Any(());
pub(crate) const NONE: Expected = Expected::NoStream(());
pub(crate) const EXISTS: Expected = Expected::StreamExists(());

pub(crate) const fn at(revision: u64) -> Expected {
    Expected::Revision(revision)
}

pub(crate) fn event(event_type: &str, data: impl Into<Bytes>) -> ProposedMessage {
    ProposedMessage {
        id: Some(names::structured(Uuid::new_v4())),
        metadata: HashMap::from([
            ("type".to_owned(), event_type.to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ]),
        custom_metadata: Bytes::new(),
        data: data.into(),
    }
}

pub(crate) fn events(count: usize) -> Vec<ProposedMessage> {
    (0..count).map(|n| event("Happened", format!("{{\"n\":{n}}}"))).collect()
}

pub(crate) fn append_request(
    stream: &str,
    expected: Expected,
    events: &[ProposedMessage],
) -> Vec<AppendReq> {
    let options = AppendContent::Options(expectation(stream, expected));
    let proposed = events.iter().cloned().map(AppendContent::Proposed);
    let contents = std::iter::once(options).chain(proposed);
    contents.map(|content| AppendReq { content: Some(content) }).collect()
}

/// What came of an append.
#[derive(Debug)]
pub(crate) enum Written {
    Success(Success),
    Wrong(WrongExpectedVersion),
    Failed(Ended),
}

impl Written {
    pub(crate) fn success(self) -> Success {
        match self {
            Self::Success(success) => success,
            other => panic!("not appended: {other:?}"),
        }
    }

    pub(crate) fn wrong(self) -> WrongExpectedVersion {
        match self {
            Self::Wrong(wrong) => wrong,
            other => panic!("no wrong expected version: {other:?}"),
        }
    }

    pub(crate) fn failed(self) -> Ended {
        match self {
            Self::Failed(ended) => ended,
            other => panic!("did not fail: {other:?}"),
        }
    }
}

impl Raw {
    pub(crate) async fn append(
        &self,
        stream: &str,
        expected: Expected,
        events: &[ProposedMessage],
    ) -> Written {
        let answers = self.streams("Append", &append_request(stream, expected, events)).await;
        match answers.only::<AppendResp>().await {
            Ok(AppendResp { result: Some(AppendResult::Success(success)) }) => {
                Written::Success(success)
            }
            Ok(AppendResp { result: Some(AppendResult::WrongExpectedVersion(wrong)) }) => {
                Written::Wrong(wrong)
            }
            Ok(other) => panic!("no result: {other:?}"),
            Err(ended) => Written::Failed(ended),
        }
    }

    pub(crate) async fn delete(
        &self,
        method: &str,
        stream: &str,
        expected: Expected,
    ) -> Result<DeleteResp, Ended> {
        let options = Some(expectation(stream, expected));
        let method = format!("/event_store.client.streams.Streams/{method}");
        self.unary(&method, &DeleteReq { options }).await
    }

    /// Writes a stream's metadata.
    pub(crate) async fn describe(&self, stream: &str, metadata: &str) {
        let metadata = [event("$metadata", metadata.to_owned())];
        self.append(&format!("$${stream}"), ANY, &metadata).await.success();
    }

    /// All that a read answers, and how it ended.
    pub(crate) async fn read(&self, options: ReadOptions) -> (Vec<Content>, Ended) {
        let mut answers = self.streams("Read", &[ReadReq { options: Some(options) }]).await;
        let all = answers.all::<ReadResp>().await;
        let ended = answers.end().await;
        (all.into_iter().map(|answer| answer.content.unwrap()).collect(), ended)
    }

    /// The revisions that can be seen of a stream.
    pub(crate) async fn revisions(&self, stream: &str) -> Vec<u64> {
        let (contents, ended) = self.read(forwards(stream, 0)).await;
        assert_eq!(ended.code, tonic::Code::Ok, "{ended:?}");
        revisions(&contents)
    }
}

const ALL: Count = Count::Count(u64::MAX);

fn options(what: What, backwards: bool) -> ReadOptions {
    ReadOptions {
        what: Some(what),
        read_direction: i32::from(backwards),
        resolve_links: false,
        count: Some(ALL),
        filter: Some(Filtered::NoFilter(())),
        uuid_option: Some(UuidOption { shape: Some(UuidShape::Structured(())) }),
        control_option: Some(ControlOption { compatibility: 1 }),
    }
}

fn stream_options(stream: &str, from: FromRevision) -> What {
    What::Stream(StreamOptions { stream_identifier: identifier(stream), from: Some(from) })
}

pub(crate) fn forwards(stream: &str, from: u64) -> ReadOptions {
    options(stream_options(stream, FromRevision::Revision(from)), false)
}

pub(crate) fn backwards(stream: &str, from: FromRevision) -> ReadOptions {
    options(stream_options(stream, from), true)
}

pub(crate) fn all(from: FromPosition, backwards: bool) -> ReadOptions {
    options(What::All(AllOptions { from: Some(from) }), backwards)
}

pub(crate) const fn position(at: u64) -> FromPosition {
    FromPosition::Position(AllPosition { commit_position: at, prepare_position: at })
}

impl ReadOptions {
    pub(crate) fn most(self, count: u64) -> Self {
        Self { count: Some(Count::Count(count)), ..self }
    }

    pub(crate) fn subscribe(self) -> Self {
        Self { count: Some(Count::Subscription(())), ..self }
    }
}

/// The events among the answers.
pub(crate) fn seen(contents: &[Content]) -> Vec<RecordedEvent> {
    let event = |content: &Content| match content {
        Content::Event(event) => event.event.clone(),
        _ => None,
    };
    contents.iter().filter_map(event).collect()
}

pub(crate) fn revisions(contents: &[Content]) -> Vec<u64> {
    seen(contents).iter().map(|event| event.stream_revision).collect()
}

pub(crate) fn positions(contents: &[Content]) -> Vec<u64> {
    seen(contents).iter().map(|event| event.commit_position).collect()
}

/// What the server itself says of an event.
pub(crate) fn fact(event: &RecordedEvent, name: &str) -> String {
    let entry = event.metadata.iter().find(|entry| entry.key == name).expect("the fact is told");
    String::from_utf8(entry.value.to_vec()).unwrap()
}
