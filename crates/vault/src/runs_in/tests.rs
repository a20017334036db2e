//! Against metadata servers of our own on loopback: each provider's, silent ones, and liars.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

/// How the fake server answers a request line; `None` keeps the client waiting.
type Answers = HashMap<&'static str, Option<&'static str>>;

/// Patience for tests that expect an answer, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A metadata server; what was asked is written down.
struct Fake {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(answers: &[(&'static str, Option<&'static str>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Answers> = Arc::new(answers.iter().copied().collect());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, written) = (Arc::clone(&answers), Arc::clone(&written));
                thread::spawn(move || answer(stream, &answers, &written));
            }
        });
        Self { base, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, answers: &Answers, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut head = String::new();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push('\n');
    }
    asked.lock().unwrap().push(head.clone());
    let first = head.lines().next().unwrap_or_default();
    let known = answers
        .iter()
        .find(|(begins, _)| first.starts_with(*begins));
    match known {
        Some((_, Some(answer))) => {
            let _ = (&stream).write_all(answer.replace('\n', "\r\n").as_bytes());
        }
        // Waits until the client gives up.
        Some((_, None)) => drop(lines.next()),
        None => {
            let none = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = (&stream).write_all(none);
        }
    }
}

const AWS: [(&str, Option<&str>); 2] = [
    (
        "PUT /latest/api/token ",
        Some("HTTP/1.1 200 OK\nconnection: close\ncontent-length: 8\n\nAQAEtok="),
    ),
    (
        "GET /latest/dynamic/instance-identity/document ",
        Some(
            "HTTP/1.1 200 OK\nconnection: close\ncontent-length: 55\n\n\
             {\"region\":\"eu-central-1\",\"accountId\":\"123456789012\"}   ",
        ),
    ),
];

fn account(base: &str, limit: Duration) -> Option<String> {
    let runs_in = RunsIn::declared(None);
    runs_in.ask(base, limit);
    let account = runs_in.account()?;
    assert_eq!(account.by, KnownBy::Metadata);
    Some(account.account)
}

#[test]
fn aws_is_asked_with_a_token() {
    let fake = Fake::start(&AWS);
    let found = account(&fake.base, PATIENCE);
    assert_eq!(found.as_deref(), Some("aws:123456789012"));
    let asked = fake.asked();
    let of = |begins: &str| asked.iter().find(|head| head.starts_with(begins)).unwrap();
    assert!(of("PUT /latest").contains("x-aws-ec2-metadata-token-ttl-seconds: 60"));
    assert!(of("GET /latest").contains("x-aws-ec2-metadata-token: AQAEtok="));
}

#[test]
fn google_must_say_that_it_is_google() {
    let named = "HTTP/1.1 200 OK\nMetadata-Flavor: Google\nconnection: close\n\
                 content-length: 10\n\nmy-project";
    let path = "GET /computeMetadata/v1/project/project-id ";
    let fake = Fake::start(&[(path, Some(named))]);
    let found = account(&fake.base, PATIENCE);
    assert_eq!(found.as_deref(), Some("gcp:my-project"));
    let asked = fake.asked().concat();
    assert!(asked.contains("metadata-flavor: Google"), "{asked}");
    let nameless = "HTTP/1.1 200 OK\nconnection: close\ncontent-length: 10\n\nmy-project";
    let fake = Fake::start(&[(path, Some(nameless))]);
    assert_eq!(account(&fake.base, PATIENCE), None);
}

#[test]
fn azure_tells_its_subscription() {
    let answer = "HTTP/1.1 200 OK\nconnection: close\ncontent-length: 36\n\n\
                  8D10DA13-8125-4BA9-A717-BF7490507B3D";
    let fake = Fake::start(&[(
        "GET /metadata/instance/compute/subscriptionId?",
        Some(answer),
    )]);
    let found = account(&fake.base, PATIENCE);
    let expected = "azure:8d10da13-8125-4ba9-a717-bf7490507b3d";
    assert_eq!(found.as_deref(), Some(expected));
}

#[test]
fn nobody_is_waited_for_longer_than_the_limit() {
    let silent = ["PUT /", "GET /"].map(|begins| (begins, None));
    let fake = Fake::start(&silent);
    let began = Instant::now();
    assert_eq!(account(&fake.base, Duration::from_millis(200)), None);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(fake.asked().len(), 3);
}

#[test]
fn no_answer_is_followed_elsewhere_and_nothing_odd_is_believed() {
    let elsewhere = Fake::start(&AWS);
    let moved: &'static str = Box::leak(
        format!(
            "HTTP/1.1 307 Moved\nlocation: {}/latest/api/token\nconnection: close\n\
             content-length: 0\n\n",
            elsewhere.base
        )
        .into_boxed_str(),
    );
    let fake = Fake::start(&[("PUT /", Some(moved)), ("GET /", Some(moved))]);
    assert_eq!(account(&fake.base, PATIENCE), None);
    assert!(elsewhere.asked().is_empty());

    let odd = "HTTP/1.1 200 OK\nMetadata-Flavor: Google\nconnection: close\n\
               content-length: 25\n\n{\"accountId\":\"\\u001b[2J\"}";
    let fake = Fake::start(&[("PUT /", AWS[0].1), ("GET /", Some(odd))]);
    assert_eq!(account(&fake.base, PATIENCE), None);
}

#[test]
fn what_was_found_goes_before_what_is_declared_and_stays() {
    let runs_in = RunsIn::declared(Some("123456789099".to_owned()));
    let declared = runs_in.account().unwrap();
    assert_eq!(declared.by, KnownBy::Declared);
    assert_eq!(declared.account, "123456789099");
    runs_in.ask(&Fake::start(&AWS).base, PATIENCE);
    assert_eq!(runs_in.account().unwrap().account, "aws:123456789012");
    // Nobody listens there.
    runs_in.ask("http://127.0.0.1:1", PATIENCE);
    assert_eq!(runs_in.account().unwrap().by, KnownBy::Metadata);
    assert_eq!(RunsIn::declared(None).account(), None);
}

#[test]
fn one_account_is_known_with_and_without_its_provider() {
    assert!(is_same("123456789012", "aws:123456789012"));
    assert!(is_same(" AWS:123456789012", "aws:123456789012"));
    assert!(!is_same("123456789013", "aws:123456789012"));
}
