//! The units for systemd that run the program by itself: systemd understands every line of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom_testkit::programs::program;

/// Each service, and the most that systemd may call its exposure, of 100. A backup reads what belongs
/// to anybody and runs commands of others, and a restore makes files of anybody, so that these are let
/// do more.
const SERVICES: [(&str, &str); 6] = [
    ("backup", "50"),
    ("verify", "35"),
    ("status", "35"),
    ("forget", "35"),
    ("drill-attack", "35"),
    ("drill-restore", "50"),
];

#[test]
fn systemd_understands_the_services_and_timers_and_finds_them_safe() {
    let judge = program("systemd-analyze");
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let area = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for (name, _) in SERVICES {
        for kind in ["service", "timer"] {
            let unit = format!("strongroom-{name}.{kind}");
            let mut text = fs::read_to_string(packaging.join(&unit)).unwrap();
            if kind == "service" {
                // The program is where cargo has put it, and nowhere else on this machine.
                let installed = "ExecStart=/usr/bin/strongroom --config ";
                assert!(text.contains(installed), "{unit}");
                let built = format!("ExecStart={} --config ", env!("CARGO_BIN_EXE_strongroom"));
                text = text.replace(installed, &built);
            }
            let copy = area.path().join(unit);
            fs::write(&copy, text).unwrap();
            units.push(copy);
        }
    }
    let output = Command::new(&judge)
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .unwrap();
    // Other units of this machine may be told of as well.
    let told = String::from_utf8_lossy(&output.stderr);
    let is_ours = |line: &str| {
        SERVICES
            .iter()
            .any(|(name, _)| line.contains(&format!("strongroom-{name}.")))
    };
    assert!(!told.lines().any(is_ours), "{told}");

    for (name, threshold) in SERVICES {
        let output = Command::new(&judge)
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(format!("--threshold={threshold}"))
            .arg(area.path().join(format!("strongroom-{name}.service")))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {told}");
    }
}

#[test]
fn each_unit_that_is_packaged_is_looked_at_and_told_of() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let told = fs::read_to_string(root.join("docs/running-by-itself.md")).unwrap();
    let mut names: Vec<String> = fs::read_dir(root.join("packaging"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("strongroom-vault."))
        .collect();
    names.sort();
    let units = SERVICES
        .iter()
        .flat_map(|(name, _)| ["service", "timer"].map(|kind| format!("strongroom-{name}.{kind}")));
    let mut units: Vec<String> = units.collect();
    units.sort();
    assert_eq!(names, units);
    for (name, _) in SERVICES {
        assert!(told.contains(&format!("| `strongroom-{name}` |")), "{name}");
    }
}
