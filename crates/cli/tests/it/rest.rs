//! A copy behind a real REST server, beside two local ones: the whole life of it, and a token that
//! must not be seen anywhere.

use std::fs;
use std::path::Path;

use strongroom_testkit::RcloneServer;
use strongroom_testkit::tree::{TreeSpec, mutate};

use crate::scene::{Ended, PASSWORD, Scene, plant_key, write_noise};

const USER: &str = "backup";
const TOKEN: &str = "tok3n-that-nobody/may@see";
/// As it stands in the URL.
const ENCODED: &str = "tok3n-that-nobody%2Fmay%40see";

/// Serves the folder `three` of the scene, and points the configuration there.
fn serve(scene: &Scene) -> RcloneServer {
    let server = RcloneServer::start(&scene.path("three"), &["--user", USER, "--pass", TOKEN]);
    point(scene, &server, ENCODED);
    server
}

fn point(scene: &Scene, server: &RcloneServer, token: &str) {
    let address = server.url().strip_prefix("http://").unwrap();
    scene.configure(
        "[limits]\npack_size = \"4MiB\"\n",
        &[
            ("one", scene.path("one").display().to_string()),
            ("two", scene.path("two").display().to_string()),
            ("three", format!("rest:http://{USER}:{token}@{address}")),
        ],
    );
}

fn scene() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("three")).unwrap();
    TreeSpec::small(1).build(&scene.source().join("tree"));
    write_noise(&scene.source().join("noise"), 1, 5 << 20);
    scene
}

/// Runs with all talk that there is, and asserts that the token is not in it.
#[track_caller]
fn expect(scene: &Scene, code: i32, arguments: &[&str]) -> Ended {
    let mut all = vec!["-vvv"];
    all.extend(arguments);
    let ended = scene.expect(code, &all);
    for text in [&ended.out, &ended.err] {
        assert_secret(text.as_bytes(), &arguments.join(" "));
    }
    ended
}

fn assert_secret(bytes: &[u8], place: &str) {
    for secret in ["tok3n", PASSWORD] {
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "{secret} is in {place}");
    }
}

fn assert_secret_in_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_secret(path.as_os_str().as_encoded_bytes(), "a name");
        match path.is_dir() {
            true => assert_secret_in_files(&path),
            false => assert_secret(&fs::read(&path).unwrap(), &path.display().to_string()),
        }
    }
}

#[test]
fn a_copy_behind_rest_lives_as_long_as_the_others_and_its_token_is_nowhere() {
    let scene = scene();
    let server = serve(&scene);
    plant_key(&scene.path("one"), PASSWORD);
    expect(&scene, 0, &["init"]);
    expect(&scene, 0, &["backup"]);
    scene.assert_identical();
    scene.check_all();

    mutate(&scene.source().join("tree"), 2);
    let summary = expect(&scene, 0, &["--json", "backup"]).summary();
    assert_eq!(summary["complete"], true, "{summary}");
    scene.assert_identical();
    expect(&scene, 0, &["verify", "--decode"]);

    // Loopback is this machine, whatever the configuration calls it.
    let status = expect(&scene, 1, &["status"]);
    let offsite = status.out.lines().find(|line| line.contains("offsite"));
    assert!(offsite.unwrap().contains("missed"), "{}", status.out);
    assert!(
        status.out.contains("three is this very machine"),
        "{}",
        status.out
    );

    // What is lost there is brought back.
    let lost = scene.files("three", "data").pop_first().unwrap();
    fs::remove_file(scene.path("three").join(lost)).unwrap();
    for snapshot in scene.files("three", "snapshots") {
        fs::remove_file(scene.path("three").join(snapshot)).unwrap();
    }
    expect(&scene, 1, &["verify"]).assert_says(&["three", "missing"]);
    expect(&scene, 0, &["sync", "--heal"]);
    scene.assert_identical();
    expect(&scene, 0, &["verify"]);

    // A restore from there alone.
    for copy in ["one", "two"] {
        fs::remove_dir_all(scene.path(copy)).unwrap();
    }
    let target = scene.path("restored");
    expect(&scene, 0, &["restore", "latest", target.to_str().unwrap()]);
    let restored = target.join(scene.source().strip_prefix("/").unwrap());
    let differences = strongroom_testkit::tree::compare(&scene.source(), &restored);
    assert_eq!(differences, []);

    drop(server);
    assert_secret_in_files(&scene.path("state"));
    assert_secret_in_files(&scene.path("three"));
}

#[test]
fn a_copy_that_refuses_the_token_fails_by_name_and_the_others_go_on() {
    let scene = scene();
    let server = serve(&scene);
    scene.begin();
    point(&scene, &server, "tok3n-that-is-wrong");
    mutate(&scene.source().join("tree"), 3);
    let ended = expect(&scene, 3, &["backup"]);
    ended.assert_says(&["three", "401"]);
    assert!(scene.files("one", "snapshots").len() > scene.files("three", "snapshots").len());
    expect(&scene, 3, &["sync"]).assert_says(&["three", "401"]);
    expect(&scene, 3, &["verify"]).assert_says(&["three", "401"]);
    point(&scene, &server, ENCODED);
    expect(&scene, 0, &["sync"]);
    scene.assert_identical();
}

#[test]
fn a_server_that_dies_in_the_middle_fails_alone_and_is_whole_after_a_sync() {
    let scene = scene();
    let mut server = Some(serve(&scene));
    scene.begin();
    let before = scene.files("three", "data").len();
    for number in 0..8 {
        write_noise(
            &scene.source().join(format!("more-{number}")),
            10 + number,
            8 << 20,
        );
    }
    let running = scene.start(&["-vvv", "backup"]);
    let running = running
        .until(|| scene.files("three", "data").len() > before)
        .unwrap();
    drop(server.take());
    let ended = running.wait();
    ended.assert_code(3, &"backup");
    ended.assert_says(&["three:"]);
    assert_secret(ended.err.as_bytes(), "backup");
    assert_eq!(scene.files("one", "snapshots").len(), 2);
    assert_eq!(scene.files("three", "snapshots").len(), 1);
    // Nobody answers any more.
    let ended = expect(&scene, 3, &["backup"]);
    ended.assert_says(&["three is left out", "cannot be reached"]);
    assert_eq!(scene.files("two", "snapshots").len(), 3);

    let _server = serve(&scene);
    expect(&scene, 0, &["sync"]);
    scene.assert_identical();
    scene.check_all();
    assert_secret_in_files(&scene.path("state"));
}

#[test]
fn one_folder_behind_two_servers_is_found_out_by_a_lock_of_ours() {
    let scene = scene();
    let first = serve(&scene);
    scene.begin();
    let second = RcloneServer::start(&scene.path("three"), &["--user", USER, "--pass", TOKEN]);
    let address = |server: &RcloneServer| {
        let address = server.url().strip_prefix("http://").unwrap();
        format!("rest:http://{USER}:{ENCODED}@{address}")
    };
    scene.configure(
        "",
        &[
            ("one", scene.path("one").display().to_string()),
            ("three", address(&first)),
            ("four", address(&second)),
        ],
    );
    expect(&scene, 0, &["sync"]);
    let status = expect(&scene, 1, &["--json", "status"]).summary();
    for (place, twin) in [(1, "four"), (2, "three")] {
        let reason = format!("is {twin} under another address, and on this machine");
        assert_eq!(
            status["copies"][place]["offsite"]["reason"], reason,
            "{status}"
        );
    }
    assert_secret_in_files(&scene.path("state"));
}
