//! Every restic of the set-up, as users run it: over TLS, trusting the vault's own certificate, and
//! by HTTP/2, which it and the vault agree on; and what a start says of the address for browsers.

use std::fs;

use strongroom_testkit::contract::noise;
use strongroom_testkit::programs::{Restic as Program, restic_versions};

use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;
use crate::running::curl;

/// Files of the source, and bytes of each: several packs, which are sent at once.
const FILES: u64 = 6;
const FILE_BYTES: usize = 4_000_000;

/// How many more connections than commands there may be, as of a client that dials anew after the server
/// has ended one: fewer than what the packs that a single backup sends at once, five of them, would need
/// beside its first by HTTP/1.1.
const MORE_CONNECTIONS: u64 = 3;

#[test]
fn every_restic_does_all_its_work_over_tls_and_http_2() {
    for program in restic_versions() {
        does_all_its_work(&program);
    }
}

/// All that restic does with a token that may do everything, from `init` to a prune.
fn does_all_its_work(program: &Program) {
    let server = Server::start_tls();
    let restic = Restic {
        server: &server,
        token: server.token("maintain"),
    };
    let source = server.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    for number in 0..FILES {
        let content = noise(number, FILE_BYTES);
        fs::write(source.join(number.to_string()), content).unwrap();
    }
    let mut commands = 0;
    let mut expect = |arguments: &[&str]| {
        commands += 1;
        let output = restic.command_of(&program.path, "", arguments).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let version = program.version;
        assert!(output.status.success(), "{version} {arguments:?}: {said}");
        said
    };
    expect(&["init"]);
    expect(&["backup", "--pack-size", "4", path(&source)]);
    fs::remove_file(source.join("0")).unwrap();
    fs::write(source.join("1"), b"changed").unwrap();
    expect(&["backup", path(&source)]);
    expect(&["check", "--read-data"]);
    let target = server.folder.path().join("restored");
    expect(&["restore", "latest", "--target", path(&target)]);
    let restored = target.join(source.strip_prefix("/").unwrap());
    assert!(!restored.join("0").exists());
    assert_eq!(fs::read(restored.join("1")).unwrap(), b"changed");
    for number in 2..FILES {
        let content = fs::read(restored.join(number.to_string())).unwrap();
        assert!(content == noise(number, FILE_BYTES), "{number} differs");
    }
    expect(&["forget", "--keep-last", "1", "--prune"]);
    let listed = expect(&["list", "snapshots"]);
    let ids = listed.lines().filter(|line| line.len() == 64).count();
    assert_eq!(ids, 1, "{listed}");
    expect(&["check", "--read-data"]);

    // By HTTP/2 one connection carries all that a command asks; by HTTP/1.1 packs that are sent at
    // once would need one each. The last one is of who asks this.
    let (version, connections) = (program.version, connections(&server));
    let most = commands + 1 + MORE_CONNECTIONS;
    assert!(
        connections <= most,
        "{version}: {connections} connections for {commands} commands"
    );
}

/// How many connections the vault has accepted, this one included.
fn connections(server: &Server) -> u64 {
    let authority = server.authority().unwrap();
    let page = curl(&["--cacert", path(&authority), &server.url("/metrics")]);
    let counted = page
        .lines()
        .find_map(|line| line.strip_prefix("strongroom_vault_connections_accepted_total "));
    counted.unwrap().parse().unwrap()
}

#[test]
fn a_start_says_where_passkeys_cannot_work() {
    let server = Server::start();
    let log = server.log();
    assert!(
        log.contains("none is configured: write public_url"),
        "{log}"
    );
    let server = Server::start_with("public_url = \"https://192.0.2.1\"\n");
    let log = server.log();
    let problem = "Browsers offer no passkeys on https://192.0.2.1, because its host";
    assert!(log.contains(problem), "{log}");
    let server = Server::start_with("public_url = \"http://localhost:8000\"\n");
    let log = server.log();
    assert!(!log.to_lowercase().contains("passkeys"), "{log}");
}
