//! Lines that can be made bad: a Toxiproxy, by its own HTTP interface.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};

/// The proxy.
#[derive(Clone)]
pub struct Toxiproxy(String);

/// A port that leads to a server; closed when dropped.
pub struct Line {
    toxiproxy: Toxiproxy,
    path: String,
    /// Host and port.
    pub listen: String,
}

impl Toxiproxy {
    /// The one at `TEST_TOXIPROXY_URL`. None if there is none, which is said; with
    /// `REQUIRE_ENGINES=1` that fails.
    pub fn of_the_environment() -> Option<Self> {
        if let Ok(url) = std::env::var("TEST_TOXIPROXY_URL") {
            return Some(Self(url.trim_start_matches("http://").to_owned()));
        }
        let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_ENGINES=1, and TEST_TOXIPROXY_URL is not set");
        eprintln!("skipped: TEST_TOXIPROXY_URL is not set");
        None
    }

    /// A line to a server's host and port.
    pub fn line_to(&self, upstream: &str) -> Line {
        static LINES: AtomicU64 = AtomicU64::new(0);
        let (process, line) = (std::process::id(), LINES.fetch_add(1, Ordering::Relaxed));
        let name = format!("daybook-{process}-{line}");
        let proxy = json!({ "name": name, "listen": "127.0.0.1:0", "upstream": upstream });
        let made = self.send("POST", "/proxies", &proxy);
        let listen = made["listen"].as_str().expect("where it listens").to_owned();
        Line { toxiproxy: self.clone(), path: format!("/proxies/{name}"), listen }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.0).unwrap();
        // Of what it does not read the server resets the connection.
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let host = &self.0;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close");
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }
}

impl Line {
    /// Makes it bad from now on; `stream` is `downstream` for answers, `upstream` for what is asked.
    /// The toxic's name is its kind and its stream, as in `latency-downstream`.
    pub fn add(&self, kind: &str, stream: &str, attributes: &Value) {
        let name = format!("{kind}-{stream}");
        let toxic = json!(
            { "name": name, "type": kind, "stream": stream, "attributes": attributes }
        );
        self.toxiproxy.send("POST", &format!("{}/toxics", self.path), &toxic);
    }

    /// Takes a toxic away.
    pub fn remove(&self, kind: &str, stream: &str) {
        let path = format!("{}/toxics/{kind}-{stream}", self.path);
        self.toxiproxy.send("DELETE", &path, &Value::Null);
    }

    /// Cuts it, or opens it again.
    pub fn switch(&self, on: bool) {
        self.toxiproxy.send("POST", &self.path, &json!({ "enabled": on }));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.toxiproxy.send("DELETE", &self.path, &Value::Null);
    }
}
