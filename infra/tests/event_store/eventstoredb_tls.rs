//! A server behind TLS, and one that wants to know who asks.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use event_schemas::{Position, StreamName};
use infra::event_store::{EventStore, EventStoreDbUrl};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use crate::{
    eventstoredb::Gateway,
    fake::{self, Fake, Reply},
    support::{append, events},
};

const UNIMPLEMENTED: u16 = 12;

/// Ends TLS in front of a server, as `localhost`; its certificate is written to `ca`.
async fn behind_tls(to: SocketAddr, ca: &Path) -> u16 {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(ca, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_and_the_certificate_looked_at() {
    let (gateway, dir) = (Gateway::start().await, tempfile::tempdir().unwrap());
    let ca = dir.path().join("ca.pem");
    let port = behind_tls(gateway.address, &ca).await;
    let url = |parameters: &str| -> EventStoreDbUrl {
        format!("kurrentdb://localhost:{port}?defaultDeadline=2000&{parameters}").parse().unwrap()
    };
    // By the certificate that signs itself, and without looking at it.
    for parameters in [&format!("tlsCaFile={}", ca.display()), "tls=true&tlsVerifyCert=false"] {
        let store = EventStore::open_eventstoredb(url(parameters)).await.unwrap();
        let stream = StreamName::new("thing", &parameters.len().to_string());
        append(&store, &stream, events(1)).await.unwrap();
        assert!(store.head().await.unwrap() > Position::START);
        store.close().await.unwrap();
    }
    // Nobody that this machine trusts has signed it.
    let opening = EventStore::open_eventstoredb(url("tls=true"));
    let refused = tokio::time::timeout(Duration::from_secs(30), opening).await.unwrap();
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_reach_the_server() {
    let server = Fake::start(|method, request| match method {
        "GetSupportedMethods" => Reply::Status(UNIMPLEMENTED, vec![]),
        _ if request.windows(13).any(|part| part == b"daybook-store") => {
            Reply::Messages(vec![fake::founded()], 0)
        }
        _ => Reply::Messages(vec![], 0),
    })
    .await;
    let url = format!("esdb://ada:hunter2@{}?tls=false", server.address);
    let store = EventStore::open_eventstoredb(url.parse().unwrap()).await.unwrap();
    let _ = store.head().await;
    let authorized = server.authorized();
    // base64 of ada:hunter2
    let wanted = Some("Basic YWRhOmh1bnRlcjI=".to_owned());
    assert!(authorized.iter().filter(|header| **header == wanted).count() >= 2, "{authorized:?}");
}
