//! The unit for systemd: what it must say, whoever edits it; and what systemd hears from the vault.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::running::{curl, program, serve_where, stop, url};

fn unit() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging/strongroom-vault.service")
}

/// The directives of `[Service]`; those that are there several times are joined.
fn directives() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(unit()).unwrap();
    let (_, service) = text.split_once("[Service]\n").unwrap();
    let service = service.split("\n[").next().unwrap();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for line in service.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            let known = all.entry(key.to_owned()).or_default();
            known.push_str(&format!("{value}\n"));
        }
    }
    all
}

#[test]
fn the_unit_shuts_the_vault_in() {
    let directives = directives();
    for (key, value) in [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("StateDirectory", "strongroom-vault"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateUsers", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectProc", "invisible"),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
        ("LimitNOFILE", "65536"),
        ("LimitCORE", "0"),
    ] {
        let said = directives.get(key).map(|said| said.trim());
        assert_eq!(said, Some(value), "{key}");
    }
    // What is let through again has to stand behind what is not; scrubbing needs it.
    let filter: Vec<&str> = directives["SystemCallFilter"].lines().collect();
    let expected = [
        "@system-service",
        "~@privileged @resources @obsolete",
        "setpriority",
    ];
    assert_eq!(filter, expected);
    for key in ["MemoryMax", "TasksMax", "WatchdogSec", "TimeoutStopSec"] {
        assert!(directives.contains_key(key), "{key} is missing");
    }
}

#[test]
fn systemd_understands_the_unit_and_finds_it_safe() {
    let judge = strongroom_testkit::programs::program("systemd-analyze");
    // The program is where cargo has put it, and nowhere else on this machine.
    let area = TempDir::new().unwrap();
    let copy = area.path().join("strongroom-vault.service");
    let program = env!("CARGO_BIN_EXE_strongroom-vault");
    let text = std::fs::read_to_string(unit()).unwrap();
    assert!(text.contains("/usr/bin/strongroom-vault"));
    std::fs::write(&copy, text.replace("/usr/bin/strongroom-vault", program)).unwrap();
    let output = Command::new(&judge)
        .args(["verify", "--man=no"])
        .arg(&copy)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("strongroom-vault"))
        .collect();
    assert!(ours.is_empty(), "{told}");
    let output = Command::new(&judge)
        .args(["security", "--offline=yes", "--no-pager", "--threshold=15"])
        .arg(&copy)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}

#[test]
fn systemd_hears_that_the_vault_is_ready_that_it_lives_and_that_it_stops() {
    let area = TempDir::new().unwrap();
    let folder = area.path().join("vault");
    let made = program(&["init"]).arg(&folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let path = area.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let patience = Some(Duration::from_secs(60));
    systemd.set_read_timeout(patience).unwrap();
    let hear = || {
        let mut told = [0; 256];
        let length = systemd.recv(&mut told).expect("nothing is heard");
        String::from_utf8_lossy(&told[..length]).into_owned()
    };
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "1500000"),
    ];
    let config = folder.join("vault.toml");
    let (child, told) = serve_where(&config, &["--no-tls"], 1, &variables);
    assert_eq!(hear(), "READY=1\n");
    // Whoever waited for that may ask at once.
    assert_eq!(curl(&[&format!("{}/healthz", url(&told))]), "ok\n");
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1\n");
    }
    stop(child);
    let mut last = hear();
    while last == "WATCHDOG=1\n" {
        last = hear();
    }
    assert_eq!(last, "STOPPING=1\n");
}
