//! Telling people by the program, as an operator runs it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};

use strongroom_vault::database::{Database, Sqlite};
use strongroom_vault::records::leaves::Moment;
use strongroom_vault::records::notices::{self, Notice};
use strongroom_vault::rules::notices::{Kind, Level};
use tempfile::TempDir;

use crate::running::program;
use crate::telling::sinks::{Answer, HttpSink, nobody};
use crate::telling::{FINE, webhook};

/// Makes a vault with channels; returns its configuration.
fn make(area: &TempDir, channels: &str) -> String {
    let folder = area.path().join("vault");
    let made = program(&["init", folder.to_str().unwrap()]).output();
    assert!(made.unwrap().status.success());
    let config = folder.join("vault.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n{channels}")).unwrap();
    config.to_str().unwrap().to_owned()
}

/// Runs a command; returns its exit status, and what it says on both ways.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = program(arguments).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

fn serve(config: &str, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log);
    program(&["serve", "--listen", "127.0.0.1:0", "--no-tls"])
        .args(["--config", config])
        .stdout(Stdio::null())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

#[test]
fn a_test_goes_to_each_channel_and_fails_where_one_does() {
    let area = TempDir::new().unwrap();
    let sink = HttpSink::new(FINE);
    let works = webhook(&area, "works", &sink.url("/geheim"), "");
    let fails = webhook(&area, "fails", &format!("{}/geheim", nobody()), "");
    let config = make(&area, &[works, fails].concat());
    let test = |more: &[&str]| run(&[&["notify", "test", "--config", &config], more].concat());
    let (status, told) = test(&[]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("ok    works  sent\n"), "{told}");
    assert!(told.contains("fail  fails  "), "{told}");
    assert!(told.contains("over 1 of 2 channels"), "{told}");
    assert!(!told.contains("geheim"), "{told}");
    assert_eq!(sink.asked()[0].json()["kind"], "test");
    let (status, told) = test(&["--channel", "works"]);
    assert_eq!((status, told.as_str()), (Some(0), "ok    works  sent\n"));
    let (status, told) = test(&["--channel", "none"]);
    assert!(
        status == Some(1) && told.contains("no channel \"none\""),
        "{told}"
    );
    let (_, told) = run(&["doctor", "--config", &config]);
    assert!(
        told.contains("outside of production's domain") || told.contains("database"),
        "{told}"
    );
}

#[test]
fn a_process_that_is_killed_loses_nothing_and_no_address_is_in_its_log() {
    let area = TempDir::new().unwrap();
    let sink = HttpSink::new(Answer::Nothing);
    let config = make(&area, &webhook(&area, "hook", &sink.url("/geheim"), ""));
    let log = area.path().join("log");
    let mut child = serve(&config, &log);
    let path = area.path().join("vault/vault.sqlite");
    crate::telling::sinks::wait_until(|| {
        let (status, _) = run(&["notify", "list", "--config", &config]);
        status == Some(0)
    });
    let database = Sqlite::open(&path).unwrap();
    let notice = Notice {
        kind: Kind::Seal,
        level: Level::Critical,
        subject: "The vault is sealed".to_owned(),
        body: String::new(),
    };
    let moment = Moment {
        recorded_ms: 0,
        vault_ms: 0,
    };
    let told = database.write(&mut |transaction| notices::tell(transaction, moment, &notice));
    told.unwrap();
    sink.wait_for(1);
    child.kill().unwrap();
    child.wait().unwrap();

    sink.now_answers(Answer::Status(403, None));
    let mut child = serve(&config, &log);
    let asked = sink.wait_for(2);
    assert_eq!(asked[1].json()["subject"], "The vault is sealed");
    let read = || fs::read_to_string(&log).unwrap();
    crate::telling::sinks::wait_until(|| read().contains("status 403"));
    assert!(!read().contains("geheim"), "{}", read());

    let (status, told) = run(&["notify", "list", "--config", &config]);
    assert_eq!(status, Some(0));
    assert!(
        told.contains("critical seal: The vault is sealed\n"),
        "{told}"
    );
    let acknowledge = ["notify", "acknowledge", "1", "--config", &config];
    assert_eq!(run(&acknowledge), (Some(0), "Acknowledged: 1\n".to_owned()));
    let (_, told) = run(&["notify", "list", "--json", "--config", &config]);
    let line: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&line["id"], &line["kind"]), (&1.into(), &"seal".into()));
    assert!(line["acknowledged"].is_string(), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
