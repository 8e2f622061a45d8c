//! A TCP proxy that can be told to misbehave.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They go on.
    Pass,
    /// They wait, also those of new connections.
    Freeze,
    /// The server's answers wait; what the client sends goes on.
    HoldAnswers,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Counts up when every connection is to be cut.
    cut: watch::Sender<u64>,
    /// What is waited for in what clients send, to freeze there.
    wanted: Arc<Mutex<Option<&'static str>>>,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, cut) = (watch::Sender::new(Mode::Pass), watch::Sender::new(0));
        let wanted = Arc::new(Mutex::new(None));
        let (modes, cuts, stop_at) = (mode.clone(), cut.clone(), wanted.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, to, modes.clone(), cuts.subscribe(), stop_at.clone()));
            }
        });
        Self { address, mode, cut, wanted }
    }

    /// Freezes as soon as a client sends this text, before it goes on.
    pub(crate) fn freeze_at(&self, text: &'static str) {
        *self.wanted.lock().unwrap() = Some(text);
    }

    /// Waits until it is frozen.
    pub(crate) async fn frozen(&self) {
        let mut mode = self.mode.subscribe();
        mode.wait_for(|mode| *mode == Mode::Freeze).await.unwrap();
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Cuts every connection that there is.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }
}

async fn join(
    client: TcpStream,
    to: SocketAddr,
    modes: watch::Sender<Mode>,
    mut cut: watch::Receiver<u64>,
    wanted: Arc<Mutex<Option<&'static str>>>,
) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (sent, answered) = (modes.subscribe(), modes.subscribe());
    let look = move |bytes: &[u8]| {
        let mut wanted = wanted.lock().unwrap();
        let is = |text: &&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        if wanted.as_ref().is_some_and(is) {
            *wanted = None;
            modes.send_replace(Mode::Freeze);
        }
    };
    let mut both = JoinSet::new();
    let cuts = cut.clone();
    both.spawn(copy(from_client, to_server, (sent, cuts), look, |mode| mode != Mode::Freeze));
    let cuts = cut.clone();
    both.spawn(copy(from_server, to_client, (answered, cuts), |_| {}, |mode| mode == Mode::Pass));
    tokio::select! {
        _ = cut.changed() => {}
        _ = both.join_next() => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (mut mode, cut): (watch::Receiver<Mode>, watch::Receiver<u64>),
    look: impl Fn(&[u8]),
    passes: impl Fn(Mode) -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        look(&buffer[..read]);
        if mode.wait_for(|mode| passes(*mode)).await.is_err() {
            return;
        }
        // What waited when the connection was cut goes nowhere, whatever may pass by now.
        if cut.has_changed().unwrap_or(true) {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
