//! The vault's program as an operator runs it, and `curl`, which asks it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program, whatever the configuration of whoever runs the tests.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-vault"));
    command
        .args(arguments)
        .env_remove("STRONGROOM_VAULT_CONFIG");
    command
}

/// Starts a server on loopback; returns what it says about itself, so many lines.
pub(crate) fn serve(config: &Path, arguments: &[&str], lines: usize) -> (Child, Vec<String>) {
    serve_where(config, arguments, lines, &[])
}

/// Starts one with variables of its environment.
pub(crate) fn serve_where(
    config: &Path,
    arguments: &[&str],
    lines: usize,
    variables: &[(&str, &str)],
) -> (Child, Vec<String>) {
    let mut child = program(&["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = out.take(lines).map(|line| line.unwrap()).collect();
    (child, told)
}

/// The address that it says first.
pub(crate) fn url(told: &[String]) -> &str {
    let url = told
        .first()
        .and_then(|line| line.strip_prefix("Listening on "));
    url.expect("it listens")
}

/// Ends a server as an operator does.
pub(crate) fn stop(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

pub(crate) fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(arguments)
        .output()
        .expect("curl is needed for this test: apt-get install curl");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}
