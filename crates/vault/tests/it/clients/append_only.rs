//! The cases by which rest-server shows that its append-only mode holds, as cases of ours: a file
//! is put, cannot be overwritten or deleted, and locks come and go.
//!
//! Where we differ it is on purpose: bytes that do not have their name are 400 also where there is
//! a file, and the same bytes again are 200.

use std::sync::mpsc::channel;
use std::thread;

use strongroom_model::{FileType, Id};

use crate::clients::server::Server;
use crate::clients::wire::Sends;
use crate::vault::scene::key_file;

const CONTENT: &[u8] = b"some bytes, long enough to be taken for a lock of restic";

#[test]
fn a_file_is_put_once_and_neither_overwritten_nor_deleted() {
    let server = Server::start();
    let mut wire = server.wire();
    let id = Id::of(CONTENT);
    for repository in ["parent1/sub1", "parent1", "parent2"] {
        let folder = format!("/{repository}/");
        let token = server.token_for(repository, "append", &[]);
        let place = format!("{folder}data/{id}");
        // Nothing is put where no repository is.
        assert_eq!(wire.get(&place, &token).status, 404);
        assert_eq!(wire.post(&place, &token, CONTENT).status, 404);
        assert_eq!(wire.post(&folder, &token, b"").status, 400);
        for _ in 0..2 {
            let created = wire.post(&format!("{folder}?create=true"), &token, b"");
            assert_eq!(created.status, 200);
        }
        let key = key_file(1);
        for (kind, content) in [
            (FileType::Keys, &key[..]),
            (FileType::Data, CONTENT),
            (FileType::Index, CONTENT),
            (FileType::Snapshots, CONTENT),
        ] {
            let place = format!("{folder}{}/{}", kind.folder(), Id::of(content));
            assert_eq!(wire.get(&place, &token).status, 404);
            let broken = [content, b"broken"].concat();
            assert_eq!(wire.post(&place, &token, &broken).status, 400);
            assert_eq!(wire.get(&place, &token).status, 404);
            assert_eq!(wire.post(&place, &token, content).status, 200);
            assert_eq!(wire.get(&place, &token).body, content);
            assert_eq!(wire.post(&place, &token, &broken).status, 400);
            assert_eq!(wire.get(&place, &token).body, content);
            assert_eq!(wire.delete(&place, &token).status, 403);
            assert_eq!(wire.get(&place, &token).body, content);
            assert_eq!(wire.post(&place, &token, content).status, 200);
            let listed = wire.list(&folder, &token, kind);
            assert_eq!(listed.len(), 1);
        }
        let place = format!("{folder}config");
        assert_eq!(wire.get(&place, &token).status, 404);
        assert_eq!(wire.post(&place, &token, CONTENT).status, 200);
        assert_eq!(wire.post(&place, &token, b"other").status, 403);
        assert_eq!(wire.delete(&place, &token).status, 403);
        assert_eq!(wire.get(&place, &token).body, CONTENT);
    }
}

#[test]
fn locks_come_and_go() {
    let server = Server::start();
    let token = server.token_for("parent1/sub1", "append", &[]);
    let folder = "/parent1/sub1/";
    let mut wire = server.wire();
    wire.post(&format!("{folder}?create=true"), &token, b"");
    let place = format!("{folder}locks/{}", Id::of(CONTENT));
    assert_eq!(wire.get(&place, &token).status, 404);
    let broken = [CONTENT, b"broken"].concat();
    assert_eq!(wire.post(&place, &token, &broken).status, 400);
    for _ in 0..2 {
        assert_eq!(wire.post(&place, &token, CONTENT).status, 200);
    }
    assert_eq!(wire.get(&place, &token).body, CONTENT);
    assert_eq!(wire.post(&place, &token, &broken).status, 400);
    assert_eq!(wire.get(&place, &token).body, CONTENT);
    for _ in 0..2 {
        assert_eq!(wire.delete(&place, &token).status, 200);
    }
    assert_eq!(wire.get(&place, &token).status, 404);
}

#[test]
fn an_upload_that_breaks_off_does_no_harm_to_the_one_that_came_meanwhile() {
    let server = Server::start();
    let token = server.token_for("parent1/sub1", "maintain", &[]);
    let folder = "/parent1/sub1/";
    let mut wire = server.wire();
    wire.post(&format!("{folder}?create=true"), &token, b"");
    let place = format!("{folder}data/{}", Id::of(CONTENT));
    let (begun, is_begun) = channel();
    let (go_on, goes_on) = channel::<()>();
    let (mut slow, slow_place, slow_token) = (server.wire(), place.clone(), token.clone());
    let first = thread::spawn(move || {
        let sends = Sends::Whole(&[0; 1_000]);
        slow.begin("POST", &slow_place, &slow_token, &[], sends)
            .unwrap();
        slow.send(b"bytes of an upload that will break off")
            .unwrap();
        begun.send(()).unwrap();
        let _ = goes_on.recv();
        // Dropped here, in the middle.
    });
    is_begun.recv().unwrap();
    assert_eq!(wire.delete(&place, &token).status, 200);
    assert_eq!(wire.post(&place, &token, CONTENT).status, 200);
    drop(go_on);
    first.join().unwrap();
    assert_eq!(wire.get(&place, &token).body, CONTENT);
    assert_eq!(wire.list(folder, &token, FileType::Data).len(), 1);
}
