//! An axum route that answers a constant: what HTTP itself costs on this machine.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Stdio},
};

use anyhow::Context;
use axum::{Router, http::header, routing::get};
use bytes::Bytes;

use crate::{failure::Failure, output};

/// The route in a process of its own, ended when this is dropped.
pub(crate) struct Constant {
    process: Child,
    address: SocketAddr,
}

impl Constant {
    /// Starts the route with a body of so many bytes.
    pub(crate) fn start(bytes: usize) -> Result<Self, Failure> {
        let program = std::env::current_exe().context("where this program lies is unknown")?;
        let mut process = std::process::Command::new(program)
            .args(["bench", "constant", "--bytes", &bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the constant route cannot be started")?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut line).context("the constant route says nothing")?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { process, address }),
            Err(_) => {
                let _ = process.kill();
                Err(Failure::failed("the constant route did not start"))
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Constant {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves the constant until the process is ended; prints the address first.
pub(crate) async fn serve(bytes: usize) -> Result<(), Failure> {
    let body =
        Bytes::from(format!("{{\"constant\":\"{}\"}}", "x".repeat(bytes.saturating_sub(15))));
    let answer = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], body) }
    };
    let router = Router::new().route("/", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
    let address = listener.local_addr().context("the port is unknown")?;
    let mut out = output::stdout();
    writeln!(out, "{address}")?;
    out.flush()?;
    drop(out);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Without it answers wait for acknowledgements; should it fail, the figures show it.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.context("the constant route ended")?;
    Ok(())
}
