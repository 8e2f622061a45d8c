//! A running shop of its own for each test, and a client as plain as can be.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// The program with nothing of the caller's own settings, in an empty directory.
pub fn daybook(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DAYBOOK_") {
            command.env_remove(name);
        }
    }
    command.current_dir(dir);
    command
}

/// Runs a command to its end.
pub fn run(dir: &Path, args: &[&str]) -> Output {
    daybook(dir).args(args).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server on a free port; killed when dropped.
pub struct Server {
    pub process: Child,
    pub url: String,
    pub address: String,
    /// What the server printed when it was ready, line by line.
    pub printed: Vec<String>,
    /// Kept open, so that it may go on printing.
    stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a server in `dir` on its data directory `data` and waits until it is ready.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        Self::with(dir, args, |_| {})
    }

    /// The same with further settings of the process.
    pub fn with(dir: &Path, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = daybook(dir);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data", "-q"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        prepare(&mut command);
        let mut process = command.spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut printed: Vec<String> = Vec::new();
        let mut read = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the server ended: {:?}", process.wait());
            printed.push(line.trim_end().to_owned());
            printed.last().unwrap().clone()
        };
        let url = loop {
            if let Some(url) = read().strip_prefix("Daybook is open at ") {
                break url.to_owned();
            }
        };
        if args.contains(&"--demo") {
            (0..5).for_each(|_| drop(read()));
        }
        let address = url.strip_prefix("http://").unwrap().to_owned();
        Self { process, url, address, printed, stdout: Some(stdout) }
    }

    /// One that was started otherwise, and listens there.
    pub fn at(process: Child, address: &str) -> Self {
        let (url, address) = (format!("http://{address}"), address.to_owned());
        Self { process, url, address, printed: Vec::new(), stdout: None }
    }

    /// Where its gateway is, if it has one.
    pub fn esdb(&self) -> String {
        let found = self.printed.iter().find_map(|line| line.split_once("esdb://"));
        format!("esdb://{}", found.expect("a gateway").1)
    }

    /// Sends a signal by name and waits for the end.
    pub fn signal(mut self, name: &str) -> ExitStatus {
        signal(self.process.id(), name);
        self.process.wait().unwrap()
    }

    /// Ends it as a power failure would.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until the server has ended by itself.
    pub fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// Sends any request; `head` is everything before the empty line.
    pub fn raw(&self, head: &str, body: &[u8]) -> Answer {
        self.try_raw(head, body).expect("an answer")
    }

    /// None if the server went away before it answered.
    pub fn try_raw(&self, head: &str, body: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut request = format!("{head}\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if !head.to_lowercase().contains("\r\ncontent-length:") && !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        // The server may answer, and close, before it has read everything.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer::parse(&answer)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.raw(&format!("GET {path} HTTP/1.1"), b"")
    }

    /// A query that waits for a position.
    pub fn get_at(&self, path: &str, position: &str) -> Answer {
        let head =
            format!("GET {path} HTTP/1.1\r\nDaybook-Position: {position}\r\nPrefer: wait=20");
        self.raw(&head, b"")
    }

    /// A command with a key of its own.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = format!("test-{}", KEYS.fetch_add(1, Ordering::Relaxed));
        self.post_with(path, &key, body).expect("an answer")
    }

    /// None if the server went away before it answered.
    pub fn post_with(&self, path: &str, key: &str, body: &Value) -> Option<Answer> {
        self.send("POST", path, Some(key), body.to_string().as_bytes())
    }

    pub fn send(&self, method: &str, path: &str, key: Option<&str>, body: &[u8]) -> Option<Answer> {
        let key = key.map_or_else(String::new, |key| format!("\r\nIdempotency-Key: {key}"));
        let head = format!("{method} {path} HTTP/1.1\r\nContent-Type: application/json{key}");
        self.try_raw(&head, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A product with stock and a customer.
pub fn stock_up(server: &Server, units: i64) {
    let price = json!({ "amount": 1099, "currency": "USD" });
    let product = json!({
        "id": "mug", "title": "Mug", "department": "HOME",
        "variants": [{ "sku": "mug-red", "title": "Red", "price": price }],
    });
    server.post("/v1/products", &product).expect(201);
    server.post("/v1/stock/mug-red/receipts", &json!({ "quantity": units })).expect(201);
    server
        .post(
            "/v1/users",
            &json!({ "id": "u1", "personal": { "name": "Ada", "email": "ada@example.com" } }),
        )
        .expect(201);
}

/// An order of so many red mugs.
pub fn order(quantity: i64) -> Value {
    json!({ "customer_id": "u1", "channel": "web", "lines": [{ "sku": "mug-red", "quantity": quantity }] })
}

/// Sends a signal by its name.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success());
}

/// A folder on a disk of its own, where this process may mount one.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn new(size: &str) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount(&format!("size={size}")).then_some(disk)
    }

    pub fn resize(&self, size: &str) {
        assert!(self.mount(&format!("remount,size={size}")));
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path());
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = text(&bytes[..end]);
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding").as_deref() != Some("chunked") {
            return Some(answer);
        }
        let (mut body, mut rest) = (Vec::new(), &answer.body[..]);
        loop {
            let line = rest.windows(2).position(|two| two == b"\r\n")?;
            let size = usize::from_str_radix(&text(&rest[..line]), 16).ok()?;
            if size == 0 {
                return Some(Self { body, ..answer });
            }
            body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
            rest = rest.get(line + size + 4..)?;
        }
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub fn position(&self) -> String {
        self.header("daybook-position").expect("a position")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.head, text(&self.body)))
    }

    /// The problem's name.
    pub fn problem(&self) -> String {
        let problem = self.json();
        problem["type"].as_str().expect("a type").rsplit('/').next().unwrap().to_owned()
    }

    /// Fails the test unless it is this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{}\n{body}", self.head);
        self
    }
}

/// What is to come comes within this time on any machine, however busy: only what never comes waits
/// so long.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks again until what is asked for holds; for what no position tells.
#[track_caller]
pub fn eventually<T>(ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, ask)
}

/// What Daybook promises to do within a time it does: a machine that is at work with other things
/// may hold it up once, but not each of three times. `time` does it from the start and says how long
/// it took.
#[track_caller]
pub fn promptly(limit: Duration, mut time: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 3 {
        took.push(time());
        if took.last() < Some(&limit) {
            return;
        }
    }
    panic!("{took:?}, wanted {limit:?}");
}

/// The same as `eventually` for what has to hold within a time that Daybook promises.
#[track_caller]
pub fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "it did not come in {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
