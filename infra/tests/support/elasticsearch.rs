//! A real Elasticsearch for tests, by a client as plain as can be. Used by the tests of several
//! crates.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;
use uuid::Uuid;

/// A name of a test's own; the indexes under it are removed when it is dropped.
pub struct Place {
    address: String,
    pub name: String,
}

impl Place {
    /// A name on the server at `TEST_ELASTICSEARCH_URL`. None if there is none, which is said; with
    /// `REQUIRE_ENGINES=1` that fails.
    pub fn new() -> Option<Self> {
        let Ok(url) = std::env::var("TEST_ELASTICSEARCH_URL") else {
            let required = std::env::var_os("REQUIRE_ENGINES").is_some_and(|yes| yes == "1");
            assert!(!required, "TEST_ELASTICSEARCH_URL names no Elasticsearch");
            eprintln!("skipped over Elasticsearch: TEST_ELASTICSEARCH_URL names none");
            return None;
        };
        Some(Self::at(&url))
    }

    /// A name on the server at a URL, `http://HOST:PORT`.
    pub fn at(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("the URL is written http://HOST:PORT");
        let address = address.trim_end_matches('/').to_owned();
        Self { address, name: format!("test-{}", Uuid::new_v4().simple()) }
    }

    /// The server's host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As `--search` takes it.
    pub fn url(&self) -> String {
        format!("http://{}/{}", self.address, self.name)
    }

    /// Asks the server itself. The status, and the answer if it is JSON.
    pub fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} /{path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// The indexes under the name, each with its aliases.
    pub fn indexes(&self) -> BTreeMap<String, Vec<String>> {
        let (status, indexes) = self.call("GET", &format!("{}*/_alias", self.name), "");
        assert_eq!(status, 200, "{indexes}");
        let aliases =
            |index: &Value| index["aliases"].as_object().unwrap().keys().cloned().collect();
        let indexes = indexes.as_object().unwrap().iter();
        indexes.map(|(name, index)| (name.clone(), aliases(index))).collect()
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&behind[..size]);
        rest = behind[size..].strip_prefix("\r\n").unwrap_or("");
    }
    whole
}

impl Drop for Place {
    fn drop(&mut self) {
        for index in self.indexes().keys() {
            self.call("DELETE", index, "");
        }
    }
}
