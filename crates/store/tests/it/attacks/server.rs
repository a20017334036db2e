//! REST servers that say one thing and do another, and vaults that let in.

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::attack::{
    Attempt, CANARY, Left, Mark, PlaceKind, Remnant, RemnantKind, Said, Verdict, canary, judge,
};
use strongroom_store::{Attacked, Error, Remnants, Store};

use crate::attacks::fake::{Deletion, Taking};
use crate::attacks::of;
use crate::server::{Server, reply_with};
use crate::vault::hello;

/// A REST server that keeps what it is given, and says no to a DELETE that it carries out.
fn two_faced() -> Server {
    let files: Mutex<Vec<(String, Vec<u8>)>> =
        Mutex::new(vec![("/acme/repo/config".to_owned(), b"config".to_vec())]);
    Server::start(move |_, request, stream| {
        let mut files = files.lock();
        let found = files.iter().position(|(path, _)| *path == request.path);
        match (request.method.as_str(), found) {
            ("GET" | "HEAD", Some(found)) => {
                let body = files[found].1.clone();
                reply_with(stream, request, "200 OK", "", &body)
            }
            ("POST", None) if request.path.starts_with("/acme/repo/") => {
                files.push((request.path.clone(), request.body.clone()));
                reply_with(stream, request, "200 OK", "", b"")
            }
            ("DELETE", Some(found)) => {
                files.remove(found);
                reply_with(stream, request, "403 Forbidden", "", b"")
            }
            ("GET" | "HEAD", None) => reply_with(stream, request, "404 Not Found", "", b""),
            _ => reply_with(stream, request, "403 Forbidden", "", b""),
        }
    })
}

#[test]
fn a_server_that_says_no_and_does_it_is_destroyable_and_its_config_is_left_alone() {
    let server = two_faced();
    let store = server.store();
    let attacked = store
        .attacks()
        .unwrap()
        .attack(&[], &Remnants::default())
        .unwrap();
    assert_eq!(attacked.place, PlaceKind::Server);
    assert_eq!(attacked.principal.as_deref(), Some("user user"));
    let delete = of(&attacked, Attempt::Delete);
    assert_eq!(delete.said, Said::Refused("403".to_owned()));
    assert_eq!(delete.left, Left::Lost);
    let overwrite = of(&attacked, Attempt::Overwrite);
    assert_eq!(overwrite.left, Left::Whole);
    let judged = judge(attacked.place, &attacked.tried, None, false);
    assert_eq!(judged.verdict, Verdict::Destroyable);
    for request in server.requests() {
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
        assert!(is_read || !request.path.contains("config"), "{request:?}");
    }
}

/// Files by their paths.
type Files = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server that only appends, and does with moves and deletions as a test wants it.
fn serve(moves: Taking, deletes: Deletion) -> (Server, Files) {
    let config = ("/acme/repo/config".to_owned(), b"config".to_vec());
    let files: Files = Arc::new(Mutex::new(vec![config]));
    let kept = files.clone();
    let server = Server::start(move |_, request, stream| {
        let mut files = kept.lock();
        let found = files.iter().position(|(path, _)| *path == request.path);
        let (status, body) = match (request.method.as_str(), found) {
            ("GET" | "HEAD", Some(found)) => ("200 OK", files[found].1.clone()),
            ("GET" | "HEAD", None) => ("404 Not Found", Vec::new()),
            // Whatever its headers say.
            ("POST", Some(found)) if files[found].1 == request.body => ("200 OK", Vec::new()),
            ("POST", None) if request.path.starts_with("/acme/repo/") => {
                files.push((request.path.clone(), request.body.clone()));
                ("200 OK", Vec::new())
            }
            ("PUT" | "COPY", _) => ("200 OK", Vec::new()),
            ("MOVE", Some(found)) => {
                let target = request.header("destination").unwrap();
                let (_, path) = target.split_once("/acme/").unwrap();
                let copy = (format!("/acme/{path}"), files[found].1.clone());
                match moves {
                    Taking::Copied => files.push(copy),
                    Taking::Moved => files[found] = copy,
                    _ => {}
                }
                ("200 OK", Vec::new())
            }
            ("DELETE", Some(found)) if request.path.starts_with("/acme/repo/data/") => {
                if matches!(deletes, Deletion::Done | Deletion::OnlyDone) {
                    files.remove(found);
                }
                match deletes {
                    Deletion::Done | Deletion::OnlySaid => ("200 OK", Vec::new()),
                    Deletion::Refused | Deletion::OnlyDone => ("403 Forbidden", Vec::new()),
                }
            }
            _ => ("403 Forbidden", Vec::new()),
        };
        reply_with(stream, request, status, "", &body)
    });
    (server, files)
}

fn drill(server: &Server, remnants: &Remnants) -> Attacked {
    let store = server.store();
    store.attacks().unwrap().attack(&[], remnants).unwrap()
}

fn renamed() -> Remnant {
    Remnant::new(RemnantKind::Canary, format!("{}-renamed", canary()))
}

#[test]
fn a_verb_that_is_passed_over_with_a_yes_was_not_tried() {
    let (server, _) = serve(Taking::OnlySaid, Deletion::Refused);
    let attacked = drill(&server, &Remnants::default());
    for attempt in [
        Attempt::WriteRange,
        Attempt::CopyOverSelf,
        Attempt::Rename,
        Attempt::OverrideMethod,
        Attempt::MakeToken,
    ] {
        let one = of(&attacked, attempt);
        assert_eq!(one.mark(), Mark::NotTried, "{one:?}");
    }
    let judged = judge(attacked.place, &attacked.tried, None, false);
    assert_eq!(judged.verdict, Verdict::DeniedNotProven);

    let (server, _) = serve(Taking::Moved, Deletion::Refused);
    let attacked = drill(&server, &Remnants::default());
    assert_eq!(of(&attacked, Attempt::Rename).mark(), Mark::Fell);
}

#[test]
fn a_yes_to_a_delete_that_does_nothing_is_no_refusal() {
    let (server, _) = serve(Taking::OnlySaid, Deletion::OnlySaid);
    let attacked = drill(&server, &Remnants::default());
    let delete = of(&attacked, Attempt::Delete);
    assert_eq!((&delete.left, delete.mark()), (&Left::Whole, Mark::Open));
    let judged = judge(attacked.place, &attacked.tried, None, false);
    assert!(!judged.is_certain, "{judged:?}");
}

#[test]
fn a_yes_to_a_delete_of_which_nothing_is_told_any_more_is_no_refusal_either() {
    // The canary is shown once behind the DELETE, and then no more.
    let shown = Mutex::new(None);
    let path = format!("/acme/repo/{}", canary());
    let server = Server::start(move |_, request, stream| {
        let mut shown = shown.lock();
        let is_canary = request.path == path;
        let (status, body) = match request.method.as_str() {
            "GET" | "HEAD" if request.path == "/acme/repo/config" => ("200 OK", &b"config"[..]),
            "DELETE" if is_canary => {
                *shown = Some(false);
                ("200 OK", &b""[..])
            }
            "GET" | "HEAD" if is_canary && *shown != Some(true) => {
                *shown = shown.map(|_| true);
                ("200 OK", CANARY)
            }
            _ => ("403 Forbidden", &b""[..]),
        };
        reply_with(stream, request, status, "", body)
    });
    let attacked = drill(&server, &Remnants::default());
    let delete = of(&attacked, Attempt::Delete);
    assert_eq!((&delete.left, delete.mark()), (&Left::Whole, Mark::Open));
}

#[test]
fn a_canary_that_is_refused_is_not_told_as_left_behind() {
    let server = Server::start(|_, request, stream| {
        let (status, body) = match (request.method.as_str(), request.path.as_str()) {
            ("GET" | "HEAD", "/acme/repo/config") => ("200 OK", &b"config"[..]),
            ("GET" | "HEAD", _) => ("404 Not Found", &b""[..]),
            _ => ("403 Forbidden", &b""[..]),
        };
        reply_with(stream, request, status, "", body)
    });
    let (store, remnants) = (server.store(), Remnants::default());
    let error = store.attacks().unwrap().attack(&[], &remnants).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_eq!(remnants.left(), [].into());
}

#[test]
fn what_a_rename_has_made_is_removed_or_noted_and_so_is_the_canary() {
    let (server, files) = serve(Taking::Copied, Deletion::Done);
    let remnants = Remnants::default();
    let attacked = drill(&server, &remnants);
    assert_eq!(of(&attacked, Attempt::Rename).mark(), Mark::Withstood);
    assert_eq!(remnants.left(), [].into());
    assert_eq!(files.lock().len(), 1);

    let (server, files) = serve(Taking::Copied, Deletion::Refused);
    let remnants = Remnants::default();
    drill(&server, &remnants);
    let kept = Remnant::new(RemnantKind::Canary, canary().to_string());
    assert_eq!(remnants.left(), [kept, renamed()].into());
    assert_eq!(files.lock().len(), 3);
}

#[test]
fn a_vault_that_makes_a_token_of_nonsense_lets_in_and_the_token_is_ended_or_noted() {
    for is_ended in [true, false] {
        let files: Files = Arc::new(Mutex::new(Vec::new()));
        let server = Server::start(move |_, request, stream| {
            let mut files = files.lock();
            let path = request.path.as_str();
            let found = files.iter().position(|(name, _)| name == path);
            let json = "Content-Type: application/json\r\n";
            let made = r#"{"name":"b3ae661f7984","token":"srt-b3ae661f7984-x"}"#;
            let (status, headers, body) = match (request.method.as_str(), path, found) {
                ("GET", "/v1/vault", _) => ("200 OK", json, hello().into_bytes()),
                ("POST", "/v1/tokens", _) => ("200 OK", json, made.as_bytes().to_vec()),
                ("POST", "/v1/tokens/b3ae661f7984/revoke", _) if is_ended => {
                    ("200 OK", json, b"{}".to_vec())
                }
                ("GET" | "HEAD", "/acme/repo/config", _) => ("200 OK", "", b"config".to_vec()),
                ("GET" | "HEAD", _, Some(found)) => ("200 OK", "", files[found].1.clone()),
                ("GET" | "HEAD", _, None) => ("404 Not Found", "", Vec::new()),
                ("POST", _, None) if path.starts_with("/acme/repo/data/") => {
                    files.push((path.to_owned(), request.body.clone()));
                    ("200 OK", "", Vec::new())
                }
                _ => ("403 Forbidden", "", Vec::new()),
            };
            reply_with(stream, request, status, headers, &body)
        });
        let remnants = Remnants::default();
        let attacked = drill(&server, &remnants);
        assert_eq!(attacked.place, PlaceKind::Vault);
        let door = of(&attacked, Attempt::MakeToken);
        assert_eq!((&door.said, door.mark()), (&Said::Done, Mark::Fell));
        let token = Remnant::new(RemnantKind::Token, "b3ae661f7984");
        assert_eq!(remnants.left().contains(&token), !is_ended);
        assert_eq!(remnants.noted().gone.contains(&token), is_ended);
        // The next one tries again.
        let before = server.requests().len();
        drill(&server, &remnants);
        let again = server.requests().split_off(before);
        let mut paths = again.iter().map(|request| request.path.as_str());
        let first = paths.position(|path| path == "/v1/tokens/b3ae661f7984/revoke");
        let made = again
            .iter()
            .position(|request| request.path == "/v1/tokens");
        assert_eq!(first < made, !is_ended, "{first:?} {made:?}");
    }
}
