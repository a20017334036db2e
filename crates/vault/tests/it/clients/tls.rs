//! Stock restic as users run it: over TLS, trusting the vault's own certificate, and by HTTP/2,
//! which it and the vault agree on.

use std::fs;

use strongroom_testkit::contract::noise;

use crate::clients::restic::{Restic, path};
use crate::clients::server::Server;
use crate::running::curl;

/// Files of the source, and bytes of each: several packs, which are sent at once.
const FILES: u64 = 6;
const FILE_BYTES: usize = 4_000_000;

#[test]
fn restic_does_all_its_work_over_tls_and_http_2() {
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
        restic.expect("", arguments)
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
    assert_eq!(connections(&server), commands + 1);
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
