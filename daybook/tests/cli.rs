//! The command line and the settings, word for word.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{io::Read, process::Stdio};

use common::{daybook, run, text};
use serde_json::Value;

const COMMANDS: &[&str] = &[
    "serve",
    "import",
    "bench",
    "replay",
    "show",
    "rebuild",
    "backup",
    "restore",
    "keys",
    "status",
    "schemas",
    "openapi",
    "config",
    "completion",
];

fn config(dir: &std::path::Path, args: &[&str], variables: &[(&str, &str)]) -> Value {
    let output = daybook(dir)
        .args(["config", "--format", "json"])
        .args(args)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_command_helps_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        let output = run(dir.path(), &[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("daybook {command}")), "{command}: {help}");
    }
    let help = text(&run(dir.path(), &["--help"]).stdout);
    assert!(COMMANDS.iter().all(|command| help.contains(command)), "{help}");
}

#[test]
fn a_wrong_way_of_asking_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["nonsense"][..],
        &["serve", "--nonsense"],
        &["import", "cats", "file.csv"],
        &["rebuild"],
        &["rebuild", "orders", "--all"],
        &["rebuild", "cats"],
        &["replay", "--stream", ""],
        &["replay", "--format", "csv"],
        &["bench"],
        &["bench", "orders", "--clients", "0"],
        &["bench", "orders", "--hot", "x", "--skus", "2"],
        &["bench", "orders", "--url", "ftp://x"],
        &["completion", "cmd.exe"],
        &["serve", "--listen", "0.0.0.0:0"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--currency", "dollars"],
        &["serve", "--roles", "cook"],
        &["serve", "--eventstore-listen", "nowhere"],
        &["serve", "--eventstore-listen", "0.0.0.0:0"],
        &["serve", "--eventstore-listen", "127.0.0.1:0", "--eventstore-access", "some"],
        &["serve", "--reservation-timeout", "soon"],
        &["serve", "--event-store", "esdb://u:hunter2@127.0.0.1:2113?tls=perhaps"],
        &["serve", "--event-store", "kurrentdb://127.0.0.1:211399"],
        &["serve", "--event-store", "esdb://127.0.0.1", "--demo"],
        &["serve", "--event-store", "esdb://127.0.0.1", "--eventstore-listen", "127.0.0.1:0"],
        &["serve", "--bus", "nats://root:hunter2@127.0.0.1:4222/a.b"],
        &["serve", "--relay-from", "middle"],
        &["serve", "--read-models", "mysql://root:hunter2@127.0.0.1"],
        &["serve", "--read-models", "mysql://root:hunter2/x@127.0.0.1/shop"],
        &["serve", "--read-models", "mysql://root:hunter2@127.0.0.1/shop?tls=maybe"],
        &["serve", "--keys", "mysql://root:hunter2@127.0.0.1/"],
        &["serve", "--read-models-replica", "mysql://root:hunter2@127.0.0.1/shop"],
        &[
            "serve",
            "--read-models",
            "mysql://root:hunter2@127.0.0.1/shop",
            "--keys",
            "mysql://root:hunter2@127.0.0.1/shop",
        ],
        &["serve", "--search", "http://root:hunter2@127.0.0.1:9200/My Shop"],
        &["serve", "--config", "nowhere.toml"],
        &["status", "--log-format", "xml"],
    ] {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{args:?}");
        assert!(!text(&output.stderr).contains("hunter2"), "{}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_setting_comes_from_the_flag_first_and_the_file_of_settings_last() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "from-file\n").unwrap();
    std::fs::write(dir.path().join("daybook.toml"), "data = 'from-settings'\n").unwrap();
    std::fs::write(dir.path().join("other.toml"), "data = 'from-other'\n").unwrap();
    let plain = ("DAYBOOK_DATA", "from-env");
    let file = ("DAYBOOK_DATA_FILE", secret.to_str().unwrap());
    let data = |args: &[&str], variables: &[(&str, &str)]| {
        let config = config(dir.path(), args, variables);
        (config["data"]["value"].clone(), config["data"]["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(data(&["--data", "flag"], &[plain, file]).0, "flag");
    assert_eq!(data(&["--data", "flag"], &[plain, file]).1, "--data");
    assert_eq!(data(&[], &[plain, file]), ("from-env".into(), "DAYBOOK_DATA".to_owned()));
    let (value, from) = data(&[], &[file]);
    assert_eq!(value, "from-file");
    assert!(from.starts_with("DAYBOOK_DATA_FILE"));
    assert_eq!(data(&[], &[]), ("from-settings".into(), "./daybook.toml".to_owned()));
    assert_eq!(data(&["--config", "other.toml"], &[]).0, "from-other");
    std::fs::remove_file(dir.path().join("daybook.toml")).unwrap();
    assert_eq!(data(&[], &[]), ("./daybook-data".into(), "default".to_owned()));
}

#[test]
fn an_unknown_setting_exits_with_2_and_the_nearest_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("daybook.toml"), "curency = 'USD'\n").unwrap();
    let output = run(dir.path(), &["status"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("curency") && said.contains("did you mean \"currency\""), "{said}");
}

#[test]
fn config_masks_secrets_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["config", "--keys", "mysql://me:hunter2@db"]);
    assert_eq!(output.status.code(), Some(2));
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert!(shown.contains("keys\tmysql://me:***@db\t--keys\n"), "{shown}");
    assert!(said.contains("names no database"), "{said}");
    assert!(!shown.contains("hunter2") && !said.contains("hunter2"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["completion", "bash"][..], &["openapi"], &["config"], &["--help"]] {
        let mut process = daybook(dir.path())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(process.stdout.take());
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(0), "{args:?}");
        assert_eq!(said, "", "{args:?}");
    }
}

#[test]
fn every_shell_gets_its_completion() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&run(dir.path(), &["completion", shell]).stdout);
        assert!(script.contains("daybook") && script.contains("rebuild"), "{shell}");
    }
}

#[test]
fn what_reads_a_store_that_is_not_there_says_so_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["status"][..], &["replay"], &["rebuild", "--all"]] {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).contains("there is no event store"), "{args:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_master_key_is_needed_once_it_is_there_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let keys = ["11", "22", "33"].map(|byte| byte.repeat(32));
    for (name, key) in ["first", "second", "wrong"].iter().zip(&keys) {
        std::fs::write(at(name), format!("{key}\n")).unwrap();
    }
    std::fs::write(at("short"), "1111").unwrap();
    let rotate =
        |args: &[&str]| run(dir.path(), &[&["keys", "rotate", "--data", "data"], args].concat());
    let said = |output: std::process::Output, code: i32| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(keys.iter().all(|key| !said.contains(key)), "{said}");
        said
    };
    let none = said(rotate(&["--new-master-key", "first"]), 2);
    assert!(none.contains("there is no key store at"), "{none}");
    common::Server::start(dir.path(), &[]).signal("TERM");
    let short = said(rotate(&["--new-master-key", "short"]), 2);
    assert!(short.contains("32 bytes") && !short.contains("1111"), "{short}");
    assert!(said(rotate(&["--new-master-key", "nowhere"]), 2).contains("cannot be read"));
    // A server that runs could not read them any more.
    let server = common::Server::start(dir.path(), &[]);
    let pid = server.process.id().to_string();
    let taken = said(rotate(&["--new-master-key", "first"]), 1);
    assert!(taken.contains(&pid), "{taken}");
    server.signal("TERM");
    let unwrapped = ["--master-key", "first", "--new-master-key", "second"];
    assert!(said(rotate(&unwrapped), 2).contains("not wrapped by a master key yet"));

    let first = said(rotate(&["--new-master-key", "first"]), 0);
    let fingerprint = first.split("master key ").nth(1).unwrap()[..16].to_owned();
    let missing = said(rotate(&["--new-master-key", "second"]), 2);
    assert!(missing.contains(&format!("the fingerprint {fingerprint}: give")), "{missing}");
    let serve = |args: &[&str]| {
        let all = [&["serve", "--listen", "127.0.0.1:0", "--data", "data", "-q"], args].concat();
        run(dir.path(), &all)
    };
    assert!(said(serve(&[]), 2).contains(&fingerprint));
    let wrong = said(serve(&["--master-key", "wrong"]), 2);
    assert!(wrong.contains(&fingerprint) && wrong.contains("was given"), "{wrong}");
    assert!(common::Server::start(dir.path(), &["--master-key", "first"]).signal("TERM").success());
    said(rotate(&["--master-key", "first", "--new-master-key", "second"]), 0);
    let second = |command: &mut std::process::Command| {
        command.env("DAYBOOK_MASTER_KEY", &keys[1]);
    };
    assert!(common::Server::with(dir.path(), &[], second).signal("TERM").success());

    let shown = config(dir.path(), &[], &[("DAYBOOK_MASTER_KEY", &keys[1])]);
    assert_eq!(shown["master-key"]["value"], "***");
    let named = at("second");
    let shown = config(dir.path(), &[], &[("DAYBOOK_MASTER_KEY_FILE", named.to_str().unwrap())]);
    assert_eq!(shown["master-key"]["value"], "***");
    let shown = config(dir.path(), &["--master-key", "first"], &[]);
    assert_eq!(shown["master-key"]["value"], "first");
    let wrong = daybook(dir.path())
        .args(["status", "--data", "data"])
        .env("DAYBOOK_MASTER_KEY", "hunter2")
        .output()
        .unwrap();
    assert!(!said(wrong, 2).contains("hunter2"));
}
