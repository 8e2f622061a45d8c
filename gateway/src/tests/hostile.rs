//! Clients that mean ill or know no better: a proper status, and the others unharmed.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::{
    StreamExt,
    future::{Either, join_all, select},
    stream,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use super::{
    raw::{Raw, framed},
    support::{
        ANY, NONE, all, append_request, event, events, forwards, positions, serve, serve_with, soon,
    },
};
use crate::{
    Access, Options,
    messages::{
        append::AppendResp,
        features::SupportedMethods,
        gossip::{ClusterInfo, LEADER},
        read::{Content, FromPosition, ReadReq, ReadResp},
    },
};

const START: FromPosition = FromPosition::Start(());
const FEATURES: &str = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";
const GOSSIP: &str = "/event_store.client.gossip.Gossip/Read";

#[tokio::test]
async fn features_tell_what_is_here_and_nothing_else() {
    let (_served, raw) = serve(Access::Read).await;
    let supported: SupportedMethods = raw.unary(FEATURES, &()).await.unwrap();
    let version: Vec<u32> =
        supported.event_store_server_version.split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!(version.len(), 3);
    // The casing of the paths, which features tell in small letters.
    let paths = [
        "/event_store.client.streams.Streams/Read",
        "/event_store.client.streams.Streams/Append",
        "/event_store.client.streams.Streams/BatchAppend",
        "/event_store.client.streams.Streams/Delete",
        "/event_store.client.streams.Streams/Tombstone",
        GOSSIP,
        FEATURES,
    ];
    for method in &supported.methods {
        let named = format!("/{}/{}", method.service_name, method.method_name);
        let path = paths.iter().find(|path| path.to_lowercase() == named).expect("it is known");
        let ended = raw.call(path, &[], stream::empty()).await.end().await;
        assert_ne!(ended.code, Code::Unimplemented, "{path}");
    }
    assert_eq!(supported.methods.len(), paths.len());
}

#[tokio::test]
async fn what_is_not_here_is_unimplemented() {
    let (_served, raw) = serve(Access::All).await;
    for path in [
        "/event_store.client.persistent_subscriptions.PersistentSubscriptions/Create",
        "/event_store.client.persistent_subscriptions.PersistentSubscriptions/Read",
        "/event_store.client.operations.Operations/StartScavenge",
        "/event_store.client.users.Users/Create",
        "/event_store.client.projections.Projections/Create",
        "/event_store.client.monitoring.Monitoring/Stats",
        "/event_store.client.streams.Streams/Other",
        "/grpc.health.v1.Health/Check",
        "/",
    ] {
        let ended = raw.call(path, &[], stream::iter([framed(&())])).await.end().await;
        assert_eq!(ended.code, Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn gossip_tells_of_one_leader_where_the_client_found_it() {
    let (served, raw) = serve(Access::Read).await;
    let info: ClusterInfo = raw.unary(GOSSIP, &()).await.unwrap();
    let [leader] = info.members.as_slice() else { panic!("{info:?}") };
    assert_eq!((leader.state, leader.is_alive), (LEADER, true));
    let found = leader.http_end_point.as_ref().unwrap();
    assert_eq!(format!("{}:{}", found.address, found.port), served.address.to_string());
}

/// Bytes that look random and are the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Says this on a connection of its own and waits until the gateway is through with it.
async fn say(address: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answered = Vec::new();
    let _ = soon(stream.read_to_end(&mut answered)).await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn bytes_that_are_no_protocol_harm_nobody() {
    let (served, raw) = serve(Access::Append).await;
    raw.append("a", NONE, &events(1)).await.success();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for seed in 0..60 {
        say(served.address, &noise(seed, 300)).await;
        say(served.address, &[PREFACE, &noise(seed, 300)].concat()).await;
        say(served.address, &[PREFACE, &settings[..], &noise(seed, 300)].concat()).await;
    }
    say(served.address, b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n").await;
    say(served.address, &PREFACE[..10]).await;
    say(served.address, b"").await;
    // A frame of headers that promises more than comes.
    let truncated = [0, 1, 0, 1, 4, 0, 0, 0, 1, 0x82];
    say(served.address, &[PREFACE, &settings[..], &truncated[..]].concat()).await;
    // A frame over the agreed size.
    let oversized = [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1];
    say(served.address, &[PREFACE, &settings[..], &oversized[..]].concat()).await;
    raw.append("a", ANY, &events(1)).await.success();
    assert_eq!(raw.revisions("a").await, [0, 1]);
}

#[tokio::test]
async fn messages_that_are_none_are_told_so() {
    let (_served, raw) = serve(Access::All).await;
    let well = framed(&ReadReq { options: Some(forwards("a", 0)) });
    let prefix = |flag: u8, length: u32, rest: &[u8]| {
        let length = length.to_be_bytes();
        Bytes::from([&[flag], &length[..], rest].concat())
    };
    for method in ["Read", "Append", "BatchAppend", "Delete", "Tombstone"] {
        for (said, codes) in [
            // Cut off within the prefix and within the message.
            (well.slice(..3), &[Code::Internal, Code::Unknown, Code::InvalidArgument][..]),
            (well.slice(..well.len() - 1), &[Code::Internal, Code::Unknown, Code::InvalidArgument]),
            // Compressed, and of a kind that there is not.
            (prefix(1, 3, b"abc"), &[Code::Internal, Code::InvalidArgument]),
            (prefix(7, 3, b"abc"), &[Code::Internal, Code::InvalidArgument]),
            // A field that goes beyond the message, a tag without a wire type.
            (prefix(0, 2, &[0x0a, 0x7f]), &[Code::InvalidArgument]),
            (prefix(0, 2, &[0x0f, 0x01]), &[Code::InvalidArgument]),
            // Text that is no UTF-8: a regular expression; else unknown bytes of a known field.
            (prefix(0, 6, &[0x0a, 4, 0x3a, 2, 0x0a, 0xff]), &[Code::InvalidArgument]),
            // More than is taken.
            (prefix(0, u32::MAX, b""), &[Code::OutOfRange, Code::InvalidArgument]),
        ] {
            let ended = soon(raw.call(method, &[], stream::iter([said.clone()])).await.end()).await;
            assert!(codes.contains(&ended.code), "{method} {said:?}: {ended:?}");
        }
        for seed in 0..40 {
            let noise = noise(seed, 64);
            let said = prefix(0, 64, &noise);
            let ended = soon(raw.call(method, &[], stream::iter([said])).await.end()).await;
            assert_ne!(ended.code, Code::Ok, "{method} {seed}");
        }
    }
    let (contents, _) = raw.read(all(START, false)).await;
    assert!(contents.is_empty(), "{contents:?}");
}

#[tokio::test]
async fn what_is_no_grpc_is_an_unsupported_media_type() {
    let (_served, raw) = serve(Access::Read).await;
    for headers in [&[][..], &[("content-type", "application/json")]] {
        let answer = raw.send("/event_store.client.streams.Streams/Read", headers, stream::empty());
        assert_eq!(answer.await.status(), 415);
    }
}

#[tokio::test]
async fn headers_have_a_limit() {
    let (_served, raw) = serve(Access::Read).await;
    let large = "x".repeat(20 << 10);
    let headers = [("content-type", "application/grpc"), ("large", large.as_str())];
    let answer = raw.send(FEATURES, &headers, stream::empty()).await;
    assert_eq!(answer.status(), 431);
    let _: SupportedMethods = raw.unary(FEATURES, &()).await.unwrap();
}

#[tokio::test]
async fn calls_over_the_limit_are_refused_until_others_end() {
    let options = Options { max_calls: 5, ..Options::default() };
    let (_served, raw) = serve_with(options).await;
    let subscribe = || async {
        let request = ReadReq { options: Some(all(START, false).subscribe()) };
        raw.streams("Read", &[request]).await
    };
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut answers = subscribe().await;
        assert!(soon(answers.next::<ReadResp>()).await.is_some());
        open.push(answers);
    }
    let ended = subscribe().await.end().await;
    assert_eq!(ended.code, Code::ResourceExhausted);
    // Nobody reads it any more: the call ends and another may begin.
    open.pop();
    let another = async {
        loop {
            let mut answers = subscribe().await;
            if answers.next::<ReadResp>().await.is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(another).await;
}

#[tokio::test]
async fn bytes_of_requests_over_the_limit_are_refused_until_others_end() {
    let options =
        Options { access: Access::Append, max_request_bytes: 1 << 20, ..Options::default() };
    let (_served, raw) = serve_with(options).await;
    let large = |bytes: usize| {
        let request = append_request("a", ANY, &[event("Large", vec![b'x'; bytes])]);
        stream::iter(request.iter().map(framed).collect::<Vec<_>>())
    };
    // Two appends that do not end: whichever comes second is refused.
    let endless = || async {
        let said = large(600 << 10).chain(stream::pending());
        raw.call("Append", &[("grpc-timeout", "2S")], said).await.end().await.code
    };
    let (one, other) = (pin!(endless()), pin!(endless()));
    let (refused, held) = match soon(select(one, other)).await {
        Either::Left((refused, held)) | Either::Right((refused, held)) => (refused, held),
    };
    assert_eq!(refused, Code::ResourceExhausted);
    // What is small still fits.
    raw.append("b", ANY, &events(1)).await.success();
    assert_eq!(soon(held).await, Code::DeadlineExceeded);
    let answers = raw.call("Append", &[], large(600 << 10)).await;
    assert!(answers.only::<AppendResp>().await.is_ok());
}

#[tokio::test]
async fn a_reader_that_never_reads_holds_up_nobody() {
    let (served, raw) = serve(Access::Append).await;
    for _ in 0..40 {
        raw.append("a", ANY, &[event("Large", vec![b'x'; 1 << 19])]).await.success();
    }
    // Some on connections of their own, some on one that is left to them.
    let crowded = Raw::connect(served.address).await;
    let mut stuck = Vec::new();
    for n in 0..20 {
        let own = Raw::connect(served.address).await;
        let reader = if n % 2 == 0 { &own } else { &crowded };
        let options = all(START, false);
        let options = if n % 4 < 2 { options } else { options.subscribe() };
        let answers = reader.streams("Read", &[ReadReq { options: Some(options) }]).await;
        stuck.push((n, own, answers));
    }
    raw.append("b", NONE, &events(3)).await.success();
    assert_eq!(soon(raw.revisions("b")).await, [0, 1, 2]);
    let (contents, _) = soon(raw.read(all(START, false))).await;
    assert_eq!(positions(&contents).len(), 43);
    // Who was stuck goes on where it was, and nothing is missing.
    for (n, _own, mut answers) in stuck {
        let mut seen = 0;
        while n % 2 == 0 && seen < 40 {
            let answer = soon(answers.next::<ReadResp>()).await.unwrap();
            seen += u32::from(matches!(answer.content, Some(Content::Event(_))));
        }
    }
    // All that filled its window is gone, and the connection can be used again.
    assert_eq!(soon(crowded.revisions("b")).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_thousand_subscribers_are_told_of_everything() {
    let (served, raw) = serve(Access::Append).await;
    let mut connections = Vec::new();
    for _ in 0..10 {
        connections.push(Raw::connect(served.address).await);
    }
    let subscribers = (0..1_000).map(|n| {
        let raw = connections[n % 10].clone();
        async move {
            let options = if n % 2 == 0 { all(START, false) } else { forwards("a-1", 0) };
            let request = ReadReq { options: Some(options.subscribe()) };
            let mut answers = raw.streams("Read", &[request]).await;
            let mut live = false;
            while !live {
                let answer: ReadResp = soon(answers.next()).await.unwrap();
                live = matches!(answer.content, Some(Content::CaughtUp(_)));
            }
            answers
        }
    });
    let subscribed = join_all(subscribers).await;
    raw.append("a-1", NONE, &events(3)).await.success();
    let told = subscribed.into_iter().zip(0..).map(|(mut answers, n)| async move {
        // From behind revision 0, or everything.
        let expected = if n % 2 == 0 { 0..3 } else { 1..3 };
        for revision in expected {
            let answer: ReadResp = soon(answers.next()).await.unwrap();
            let Some(Content::Event(event)) = answer.content else { panic!("{answer:?}") };
            assert_eq!(event.event.unwrap().stream_revision, revision);
        }
    });
    join_all(told).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let options = Options { max_connections: 2, ..Options::default() };
    let (served, raw) = serve_with(options).await;
    let _: SupportedMethods = raw.unary(FEATURES, &()).await.unwrap();
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    // The second connection says nothing, and the third waits.
    let waiting = tokio::spawn(async move {
        let third = Raw::connect(served.address).await;
        third.unary::<SupportedMethods>(FEATURES, &()).await.is_ok()
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    silent.shutdown().await.unwrap();
    assert!(soon(waiting).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_shown_out() {
    let (served, _raw) = serve(Access::Read).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    silent.write_all(&PREFACE[..5]).await.unwrap();
    let mut answered = Vec::new();
    // Closed, or reset because of what was not read.
    let _ = silent.read_to_end(&mut answered).await;
    assert!(answered.is_empty());
}

#[tokio::test]
async fn calls_that_do_not_end_are_cut_off_when_the_drain_is_over() {
    let options =
        Options { access: Access::Append, drain: Duration::from_millis(100), ..Options::default() };
    let (mut served, raw) = serve_with(options).await;
    let begun = append_request("a", ANY, &events(1));
    let said = stream::iter(begun.iter().map(framed).collect::<Vec<_>>()).chain(stream::pending());
    let call = tokio::spawn(async move {
        let request = raw.call("Append", &[], said);
        tokio::time::timeout(Duration::from_secs(180), request).await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _ = served.end.take().unwrap().send(());
    soon(served.served).await.unwrap().unwrap();
    call.abort();
    served.store.close().await.unwrap();
}
