//! The program from its first start to its end, as an operator does it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use strongroom_vault::database::Database;
use strongroom_vault::database::sqlite::Sqlite;
use strongroom_vault::rules::clock::DAY_MS;
use tempfile::TempDir;

use crate::running::{curl, program, serve, serve_where, stop, url};

fn init(folder: &Path) -> Output {
    program(&["init", folder.to_str().unwrap()])
        .output()
        .unwrap()
}

#[test]
fn a_vault_starts_with_its_own_certificate_and_stops_when_it_is_told_to() {
    let area = TempDir::new().unwrap();
    let folder = area.path().join("vault");
    let made = init(&folder);
    let told = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success());
    for next in [
        "Before anything else write public_url into",
        "strongroom-vault serve --config",
        "strongroom-vault token create --config",
        "-r rest:https://any:TOKEN@HOST:8000/acme/repos/ init",
        "keys/tls.crt",
        "strongroom-vault log key --config",
    ] {
        assert!(told.contains(next), "{told}");
    }
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    let config = folder.join("vault.toml");
    let (child, told) = serve(&config, &[], 2);
    let url = url(&told);
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    assert!(
        told[1].starts_with("SHA-256 of the certificate: "),
        "{told:?}"
    );
    let authority = folder.join("keys/tls.crt");
    let authority = ["--cacert", authority.to_str().unwrap()];
    for version in ["--http1.1", "--http2"] {
        let page = curl(&[&authority[..], &[version, &format!("{url}/healthz")]].concat());
        assert_eq!(page, "ok\n");
    }
    let ready = curl(&[&authority[..], &[&format!("{url}/readyz")]].concat());
    assert_eq!(
        ready,
        "database ok\nstorage ok\nlog ok\nlog_files ok\njobs ok\nready\n"
    );
    let metrics = curl(&[&authority[..], &[&format!("{url}/metrics")]].concat());
    let line = "strongroom_vault_requests_total{route=\"healthz\",method=\"GET\",status=\"200\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    stop(child);

    let (child, again) = serve(&config, &[], 2);
    assert_eq!(
        again[1], told[1],
        "the certificate is the same at the next start"
    );
    stop(child);
}

/// Answers whoever asks as Google's metadata server does; returns its address.
fn metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever has gone meanwhile asks again.
            let _ = answer_as_google(stream);
        }
    });
    address
}

fn answer_as_google(mut stream: TcpStream) -> io::Result<()> {
    let (mut head, mut some) = (Vec::new(), [0; 4096]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut some)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&some[..read]),
        }
    }
    let asked = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let is_right = asked.starts_with("get /computemetadata/v1/project/project-id ")
        && asked.contains("metadata-flavor: google");
    let status = if is_right { "200 OK" } else { "403 Forbidden" };
    let answer = format!(
        "HTTP/1.1 {status}\r\nMetadata-Flavor: Google\r\nconnection: close\r\n\
         content-length: 10\r\n\r\nmy-project"
    );
    stream.write_all(answer.as_bytes())
}

#[test]
fn it_tells_clients_where_it_runs_by_the_provider_s_own_word() {
    let area = TempDir::new().unwrap();
    assert!(init(area.path()).status.success());
    let config = area.path().join("vault.toml");
    fs::write(&config, "runs_in = \"my-other\"\n").unwrap();
    let create = program(&["token", "create", "--repository", "acme", "--right", "read"])
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    assert!(create.status.success());
    let login = format!("any:{}", String::from_utf8(create.stdout).unwrap().trim());
    let place = |metadata: &str, is_told: &dyn Fn(&serde_json::Value) -> bool| {
        let variables = [
            ("GCE_METADATA_HOST", metadata),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let (child, told) = serve_where(&config, &["--no-tls"], 1, &variables);
        let page = |path: &str| curl(&["--user", &login, &format!("{}{path}", url(&told))]);
        // A provider that was not heard in time is asked again after a minute.
        let until = Instant::now() + Duration::from_secs(180);
        let runs_in = loop {
            let vault: serde_json::Value = serde_json::from_str(&page("/v1/vault")).unwrap();
            let runs_in = vault["runs_in"].clone();
            if is_told(&runs_in) {
                break runs_in;
            }
            // The provider is asked beside what is answered.
            assert!(Instant::now() < until, "{vault}");
            thread::park_timeout(Duration::from_millis(20));
        };
        let metrics = page("/metrics");
        stop(child);
        (runs_in, metrics)
    };
    let by_provider = |it: &serde_json::Value| it["by"] == "metadata";
    let (runs_in, metrics) = place(&metadata(), &by_provider);
    let expected = serde_json::json!({ "account": "gcp:my-project", "by": "metadata" });
    assert_eq!(runs_in, expected);
    let series = "strongroom_vault_runs_in{account=\"gcp:my-project\",by=\"metadata\"} 1";
    assert!(metrics.contains(series), "{metrics}");
    // Where nobody answers, what is declared counts.
    let (runs_in, _) = place("127.0.0.1:1", &|it: &serde_json::Value| it.is_object());
    let expected = serde_json::json!({ "account": "my-other", "by": "declared" });
    assert_eq!(runs_in, expected);
}

#[test]
fn a_certificate_of_its_own_that_clients_cannot_use_is_told_with_what_to_do() {
    let area = TempDir::new().unwrap();
    let folder = area.path().join("vault");
    assert!(init(&folder).status.success());
    let config = folder.join("vault.toml");
    let served = || {
        let log = area.path().join("log");
        let mut child = program(&["serve", "--listen", "0.0.0.0:0", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        assert!(first.starts_with("Listening on https://"), "{first}");
        stop(child);
        fs::read_to_string(&log).unwrap()
    };
    let doctor = || {
        let looked = program(&["doctor", "--config"]).arg(&config).output();
        String::from_utf8(looked.unwrap().stdout).unwrap()
    };
    for told in [served(), doctor()] {
        assert!(told.contains("holds for localhost alone"), "{told}");
        assert!(told.contains("write public_url in vault.toml"), "{told}");
    }
    fs::write(&config, "listen = [\"127.0.0.1:8000\", \"[::1]:8000\"]\n").unwrap();
    let told = doctor();
    assert!(!told.contains("holds for localhost alone"), "{told}");
    // A name that comes later makes no new certificate by itself.
    fs::write(&config, "public_url = \"https://vault.example.net:8000\"\n").unwrap();
    for told in [served(), doctor()] {
        let problem = "does not hold for vault.example.net";
        assert!(told.contains(problem), "{told}");
        assert!(
            told.contains("remove keys/tls.crt and keys/tls.key"),
            "{told}"
        );
    }
    for file in ["keys/tls.crt", "keys/tls.key"] {
        fs::remove_file(folder.join(file)).unwrap();
    }
    for told in [served(), doctor()] {
        assert!(!told.contains("does not hold for"), "{told}");
    }
}

#[test]
fn a_start_tells_which_folder_it_waits_for_and_ends_or_goes_on() {
    let area = TempDir::new().unwrap();
    assert!(init(area.path()).status.success());
    // Whoever opens a pipe that nobody reads hangs as in a folder whose server is away.
    let lock = area.path().join("serving.lock");
    mknodat(CWD, &lock, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let config = area.path().join("vault.toml");
    let start = || {
        let mut child = program(&["serve", "--no-tls", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let folder = format!("waits for the folder {}", area.path().display());
        assert!(line.contains(&folder), "{line}");
        assert!(line.contains("SIGTERM"), "{line}");
        (child, told)
    };
    let (child, _told) = start();
    let began = Instant::now();
    stop(child);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (mut child, _told) = start();
    let _reads = File::open(&lock).unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("Listening on http://"), "{first}");
    stop(child);
}

#[test]
fn plain_http_is_for_loopback_alone() {
    let area = TempDir::new().unwrap();
    assert!(init(area.path()).status.success());
    let config = area.path().join("vault.toml");
    let (child, told) = serve(&config, &["--no-tls"], 1);
    let url = url(&told);
    assert_eq!(curl(&[&format!("{url}/healthz")]), "ok\n");
    stop(child);
    let output = program(&["serve", "--config", config.to_str().unwrap()])
        .args(["--no-tls", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("hint: leave --no-tls out"), "{told}");
}

#[test]
fn the_folder_holds_the_token_that_administers_over_http() {
    let area = TempDir::new().unwrap();
    assert!(init(area.path()).status.success());
    let path = area.path().join("keys/admin.token");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // An older folder has none; the first start makes it.
    fs::remove_file(&path).unwrap();
    let config = area.path().join("vault.toml");
    let (child, told) = serve(&config, &["--no-tls"], 1);
    let url = url(&told);
    let token = fs::read_to_string(&path).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let body = r#"{"repository": "acme/repos", "right": "append"}"#;
    let tokens = format!("{url}/v1/tokens");
    let made = curl(&["-H", &bearer, "--data", body, "-H", JSON, &tokens]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let machine = format!("any:{}", made["token"].as_str().unwrap());
    let page = curl(&["--user", &machine, &format!("{url}/v1/vault")]);
    assert!(
        page.contains("\"origin\":\"vault.invalid/strongroom\""),
        "{page}"
    );
    let proof = curl(&[
        "--user",
        &machine,
        &format!("{url}/v1/log/consistency?old=0"),
    ]);
    assert!(proof.contains("vault.invalid/strongroom"), "{proof}");
    let refused = curl(&[&format!("{url}/v1/tokens")]);
    assert!(refused.contains("keys/admin.token"), "{refused}");
    stop(child);
    // The program tells the same of tokens as the API.
    let list = vault_output(&[
        "token",
        "list",
        "--json",
        "--config",
        config.to_str().unwrap(),
    ]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["name"], made["name"]);
    assert_eq!(list["client"], serde_json::Value::Null);
    let name = list["name"].as_str().unwrap();
    let set = vault_output(&[
        "token",
        "set",
        name,
        "--daily-objects",
        "7000000",
        "--config",
        config.to_str().unwrap(),
    ]);
    let expected = format!("A day of {name}: objects 7000000, size unbounded");
    assert_eq!(set.trim(), expected);
    let config = config.to_str().unwrap();
    let list = vault_output(&["token", "list", "--config", config]);
    let mut columns = list.lines().next().unwrap().split("  ");
    assert!(columns.any(|column| column.trim() == "objects/day"));
    assert!(list.contains("    7000000  unbounded  counts"), "{list}");
    // Of a token that does not count any more nobody hears that it may do anything.
    vault_output(&["token", "revoke", name, "--config", config]);
    let set = [
        "token",
        "set",
        name,
        "--daily-size",
        "1GiB",
        "--config",
        config,
    ];
    let output = program(&set).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("does not count any more"), "{told}");
    assert!(output.stdout.is_empty());
    // Others must not be able to read it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let output = program(&["serve", "--config", config])
        .args(["--no-tls", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("chmod 600"), "{told}");
}

#[test]
fn a_token_that_is_made_for_90_days_counts_until_then() {
    let area = TempDir::new().unwrap();
    assert!(init(area.path()).status.success());
    let path = area.path().join("vault.toml");
    let config = path.to_str().unwrap();
    let create = [
        "token",
        "create",
        "--config",
        config,
        "--repository",
        "acme/repos",
        "--right",
        "append",
        "--expires",
        "90d",
        "--json",
    ];
    let made: Value = serde_json::from_str(&vault_output(&create)).unwrap();
    let machine = format!("any:{}", made["token"].as_str().unwrap());
    let listed = || -> Value {
        let list = vault_output(&["token", "list", "--json", "--config", config]);
        serde_json::from_str(&list).unwrap()
    };
    let asked = || {
        let (child, told) = serve(&path, &["--no-tls"], 1);
        let vault = format!("{}/v1/vault", url(&told));
        let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
        let status = curl(&[&status[..], &["--user", &machine, &vault]].concat());
        stop(child);
        status
    };
    let token = listed();
    let time = |field: &str| -> Timestamp { token[field].as_str().unwrap().parse().unwrap() };
    let counts_for = time("expires").duration_since(time("made"));
    assert_eq!(counts_for.as_secs(), 90 * 86_400, "{token}");
    let until = format!("until {}", time("expires"));
    let list = vault_output(&["token", "list", "--config", config]);
    assert!(list.contains(&until), "{list}");
    assert_eq!(asked(), "200");
    assert_eq!(listed()["state"], "counts");
    // As if it had run all the while.
    let later = format!("UPDATE clock SET vault_ms = vault_ms + {}", 90 * DAY_MS);
    let database = Sqlite::open(&area.path().join("vault.sqlite")).unwrap();
    let moved = database.write(&mut |transaction| transaction.execute(&later, &[]).map(drop));
    moved.unwrap();
    drop(database);
    assert_eq!(asked(), "401");
    assert_eq!(listed()["state"], "expired");
    let list = vault_output(&["token", "list", "--config", config]);
    assert!(list.contains("expired "), "{list}");
}

/// What a header says of a body.
const JSON: &str = "Content-Type: application/json";

fn vault_output(arguments: &[&str]) -> String {
    let output = program(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_vault_is_never_made_over_another() {
    let area = TempDir::new().unwrap();
    assert!(init(area.path()).status.success());
    let config = area.path().join("vault.toml");
    fs::write(&config, "retention = \"90d\"\n").unwrap();
    let again = init(area.path());
    assert_eq!(again.status.code(), Some(1));
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(told.contains("hint: strongroom-vault serve"), "{told}");
    assert_eq!(
        fs::read_to_string(&config).unwrap(),
        "retention = \"90d\"\n"
    );
}

#[test]
fn mistakes_in_the_configuration_are_told_with_their_lines() {
    let area = TempDir::new().unwrap();
    let config = area.path().join("vault.toml");
    fs::write(&config, "\nretention = \"30 days\"\nlisten = [\"here\"]\n").unwrap();
    let output = program(&["serve", "--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("The configuration has 2 mistakes"), "{told}");
    assert!(told.contains("line 2: \"30 days\""), "{told}");
}

#[test]
fn the_man_pages_are_made_from_the_same_definitions_as_the_help() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let output = program(&["man", path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for page in ["strongroom-vault.1", "strongroom-vault-token-create.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH DESCRIPTION"), "{text}");
    }
    let output = program(&["man", "/nowhere/at/all"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("write man pages to /nowhere/at/all"),
        "{said}"
    );
}
