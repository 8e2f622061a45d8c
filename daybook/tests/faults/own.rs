//! Servers of a test's own, which it may kill and wipe. The programs: `NATS_SERVER` names one,
//! `mariadbd` and `mariadb-install-db` are those of the system. Where there is none it is said; with
//! `REQUIRE_ENGINES=1` that fails.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::common::eventually;

/// A server's process on a port of its own, with its files in a directory of its own.
pub(crate) struct OwnServer {
    program: String,
    args: Vec<String>,
    port: u16,
    process: Option<Child>,
    dir: TempDir,
}

impl OwnServer {
    /// NATS with JetStream.
    pub(crate) fn nats() -> Option<Self> {
        let program = std::env::var("NATS_SERVER").ok().filter(|path| !path.is_empty());
        let program = required(program, "NATS_SERVER names no nats-server")?;
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let (listen, files) = (port.to_string(), path(&dir, "jetstream"));
        let args = ["-a", "127.0.0.1", "-p", &listen, "-js", "-sd", &files];
        Some(Self::started(program, &args, port, dir))
    }

    /// MariaDB with two empty databases.
    pub(crate) fn mariadb() -> Option<Self> {
        let program = required(system("mariadbd"), "there is no mariadbd")?;
        let install = required(system("mariadb-install-db"), "there is no mariadb-install-db")?;
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let datadir = format!("--datadir={}", path(&dir, "data"));
        // The server refuses to be root unless it is told so.
        let root = std::fs::metadata("/proc/self").is_ok_and(|me| {
            use std::os::unix::fs::MetadataExt as _;
            me.uid() == 0
        });
        let user: &[&str] = if root { &["--user=root"] } else { &[] };
        let made = Command::new(install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", &datadir])
            .args(user)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let first = "CREATE DATABASE IF NOT EXISTS models;\nCREATE DATABASE IF NOT EXISTS secrets;\n\
            CREATE USER IF NOT EXISTS 'app'@'127.0.0.1' IDENTIFIED BY 'app';\n\
            CREATE USER IF NOT EXISTS 'app'@'localhost' IDENTIFIED BY 'app';\n\
            GRANT ALL ON *.* TO 'app'@'127.0.0.1';\nGRANT ALL ON *.* TO 'app'@'localhost';\n";
        std::fs::write(dir.path().join("first.sql"), first).unwrap();
        let options = [
            "--no-defaults".to_owned(),
            datadir,
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
            format!("--socket={}", path(&dir, "socket")),
            format!("--init-file={}", path(&dir, "first.sql")),
        ];
        let args: Vec<&str> =
            options.iter().map(String::as_str).chain(user.iter().copied()).collect();
        Some(Self::started(program, &args, port, dir))
    }

    fn started(program: String, args: &[&str], port: u16, dir: TempDir) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut server = Self { program, args, port, process: None, dir };
        server.start();
        server
    }

    /// Starts it again, on the same port, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        eventually(|| TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Ends it as a power failure would, but that the system keeps what was written.
    pub(crate) fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Removes the files of a NATS that is down.
    pub(crate) fn wipe(&self) {
        assert!(self.process.is_none(), "it is down");
        std::fs::remove_dir_all(self.dir.path().join("jetstream")).unwrap();
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Of the two databases of a MariaDB, for read models and for keys.
    pub(crate) fn databases(&self) -> [String; 2] {
        ["models", "secrets"].map(|name| format!("mysql://app:app@{}/{name}", self.address()))
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a test cannot do without.
pub(crate) fn required<T>(found: Option<T>, missing: &str) -> Option<T> {
    if found.is_none() {
        let required = std::env::var("REQUIRE_ENGINES").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_ENGINES=1, and {missing}");
        println!("skipped: {missing}");
    }
    found
}

/// A program of the system, also one that is for its administrator.
pub(crate) fn system(name: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders =
        path.split(':').chain(["/usr/sbin"]).map(|folder| Path::new(folder).join(name));
    folders.find(|path| path.is_file()).map(|path| path.display().to_string())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}
