//! A client that behaves as rustic does: chunks without a length or a type, a full GET without a
//! range, ranges of which it never looks whether they were honoured, no locks, and a list that
//! must be there.

use strongroom_model::{FileName, FileType, Id};
use strongroom_testkit::contract::noise;

use crate::clients::REPOSITORY;
use crate::clients::server::Server;
use crate::clients::wire::{Answer, Sends, Wire};
use crate::vault::scene::key_file;

/// The client.
struct Rustic {
    wire: Wire,
    token: String,
}

impl Rustic {
    /// Any success will do.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        sends: Sends<'_>,
    ) -> Answer {
        let path = format!("{REPOSITORY}{path}");
        let answer = self
            .wire
            .ask(method, &path, &self.token, headers, sends)
            .unwrap();
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            answer.text()
        );
        answer
    }

    fn write(&mut self, name: FileName, bytes: &[u8]) {
        self.ask("POST", &name.to_string(), &[], Sends::Chunks(bytes));
    }

    fn read_full(&mut self, name: FileName) -> Vec<u8> {
        self.ask("GET", &name.to_string(), &[], Sends::Nothing).body
    }

    fn read_partial(&mut self, name: FileName, offset: usize, length: usize) -> Vec<u8> {
        let range = format!("bytes={offset}-{}", offset + length - 1);
        self.ask(
            "GET",
            &name.to_string(),
            &[("range", &range)],
            Sends::Nothing,
        )
        .body
    }

    fn list(&mut self, kind: FileType) -> Vec<(FileName, u64)> {
        self.wire.list(REPOSITORY, &self.token, kind)
    }
}

#[test]
fn a_whole_life_as_rustic_leads_it() {
    let server = Server::start();
    let mut rustic = Rustic {
        wire: server.wire(),
        token: server.token("maintain"),
    };
    // It asks for config first, and makes the repository where there is none.
    let missing = rustic
        .wire
        .get(&format!("{REPOSITORY}config"), &rustic.token);
    assert_eq!(missing.status, 404);
    rustic.ask("POST", "?create=true", &[], Sends::Nothing);
    for kind in [
        FileType::Keys,
        FileType::Snapshots,
        FileType::Index,
        FileType::Data,
    ] {
        assert_eq!(rustic.list(kind), [], "a list that is empty is there");
    }
    let key = FileName::new(FileType::Keys, Id::of(&key_file(1)));
    rustic.write(key, &key_file(1));
    rustic.write(FileName::CONFIG, b"the config");
    assert_eq!(rustic.read_full(FileName::CONFIG), b"the config");
    let mut kept = vec![(key, key_file(1))];
    for (seed, kind, length) in [
        (1, FileType::Data, 1),
        (2, FileType::Data, 70_001),
        (3, FileType::Data, 5_000_000),
        (4, FileType::Index, 300_000),
        (5, FileType::Snapshots, 600),
    ] {
        let bytes = noise(seed, length);
        let name = FileName::new(kind, Id::of(&bytes));
        rustic.write(name, &bytes);
        // A fault of the network is retried, whatever was done before it.
        rustic.write(name, &bytes);
        kept.push((name, bytes));
    }
    for (name, bytes) in &kept {
        assert!(rustic.read_full(*name) == *bytes, "{name}");
        let offset = bytes.len() / 3;
        let length = (bytes.len() - offset).min(100_000);
        let part = rustic.read_partial(*name, offset, length);
        assert!(part == bytes[offset..offset + length], "{name}");
        // The header of a pack, asked for with more than there is.
        let part = rustic.read_partial(*name, offset, bytes.len());
        assert!(part == bytes[offset..], "{name}");
        let listed = rustic.list(name.kind());
        assert!(listed.contains(&(*name, bytes.len() as u64)), "{name}");
    }
    let (name, _) = kept.pop().unwrap();
    rustic.ask("DELETE", &name.to_string(), &[], Sends::Nothing);
    assert_eq!(rustic.list(FileType::Snapshots), []);
    let answer = rustic
        .wire
        .get(&format!("{REPOSITORY}{name}"), &rustic.token);
    assert_eq!(answer.status, 404);
}

#[test]
fn with_append_alone_rustic_writes_and_reads_and_takes_nothing_away() {
    let server = Server::start();
    let mut rustic = Rustic {
        wire: server.wire(),
        token: server.token("append"),
    };
    rustic.ask("POST", "?create=true", &[], Sends::Nothing);
    let key = FileName::new(FileType::Keys, Id::of(&key_file(1)));
    rustic.write(key, &key_file(1));
    rustic.write(FileName::CONFIG, b"the config");
    let mut kept = vec![
        (key, key_file(1)),
        (FileName::CONFIG, b"the config".to_vec()),
    ];
    for (seed, kind, length) in [
        (1, FileType::Data, 900_000),
        (2, FileType::Index, 3_000),
        (3, FileType::Snapshots, 600),
    ] {
        let bytes = noise(seed, length);
        let name = FileName::new(kind, Id::of(&bytes));
        rustic.write(name, &bytes);
        kept.push((name, bytes));
    }
    for (name, bytes) in &kept {
        let path = format!("{REPOSITORY}{name}");
        let mut refused = |method: &str, sends: Sends<'_>| {
            let token = rustic.token.as_str();
            rustic
                .wire
                .ask(method, &path, token, &[], sends)
                .unwrap()
                .status
        };
        // A forget, a prune, and a file under the name of another one.
        assert_eq!(refused("DELETE", Sends::Nothing), 403, "{name}");
        let other = [&bytes[..], b"more"].concat();
        let status = match name.kind() {
            FileType::Config => 403,
            _ => 400,
        };
        assert_eq!(refused("POST", Sends::Chunks(&other)), status, "{name}");
        assert!(rustic.read_full(*name) == *bytes, "{name}");
        let part = rustic.read_partial(*name, 1, bytes.len() - 1);
        assert!(part == bytes[1..], "{name}");
        if name.kind() != FileType::Config {
            assert_eq!(rustic.list(name.kind()), [(*name, bytes.len() as u64)]);
        }
        // What it writes again is there as it was.
        rustic.write(*name, bytes);
    }
}

#[test]
fn without_a_length_as_much_is_bounded_as_with_it() {
    let server = Server::start_with("object_size = \"1MiB\"\n");
    let mut rustic = Rustic {
        wire: server.wire(),
        token: server.token("append"),
    };
    rustic.ask("POST", "?create=true", &[], Sends::Nothing);
    let large = noise(1, (1 << 20) + 1);
    let name = FileName::new(FileType::Data, Id::of(&large));
    let path = format!("{REPOSITORY}{name}");
    for sends in [Sends::Chunks(&large), Sends::Whole(&large)] {
        let answer = server
            .wire()
            .ask("POST", &path, &rustic.token, &[], sends)
            .unwrap();
        assert_eq!(answer.status, 413);
    }
    // Cut off before the last chunk it is no file, even where all its bytes have come.
    let bytes = noise(2, 9_000);
    let name = FileName::new(FileType::Data, Id::of(&bytes));
    let path = format!("{REPOSITORY}{name}");
    let mut wire = server.wire();
    wire.begin("POST", &path, &rustic.token, &[], Sends::Chunks(&bytes))
        .unwrap();
    wire.send(format!("{:x}\r\n", bytes.len()).as_bytes())
        .unwrap();
    wire.send(&bytes).unwrap();
    wire.send(b"\r\n").unwrap();
    drop(wire);
    // And of a length that was told, one byte less.
    let mut wire = server.wire();
    wire.begin("POST", &path, &rustic.token, &[], Sends::Whole(&bytes))
        .unwrap();
    wire.send(&bytes[1..]).unwrap();
    drop(wire);
    assert_eq!(rustic.list(FileType::Data), []);
    rustic.write(name, &bytes);
    assert_eq!(rustic.list(FileType::Data).len(), 1);
}
