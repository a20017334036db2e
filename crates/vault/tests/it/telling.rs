//! What people are told, over real connections to servers of the tests.

mod program;
pub(crate) mod sinks;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use strongroom_vault::Error;
use strongroom_vault::config::VaultConfig;
use strongroom_vault::http::tls::{Names, make_own};
use strongroom_vault::notify::{self, Channel, Message, Teller};
use strongroom_vault::records::notices::{self, Notice};
use strongroom_vault::rules::clock::{MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::notices::{Kind, Level};
use strongroom_vault::vault::{Channels, Demands, Finding};
use tempfile::TempDir;

use self::sinks::{Answer, HttpSink, MailSink, nobody, wait_until};
use crate::vault::scene::{START_MS, Scene};

const FINE: Answer = Answer::Status(200, None);

/// The time of the wall clock of who sends.
const NOW_S: i64 = 1_800_000_000;

/// Writes a secret where the vault alone can read it.
pub(crate) fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn parsed(text: &str) -> VaultConfig {
    VaultConfig::parse(text, Path::new("/nowhere"), &|name| {
        (name == "SMTP_PASSWORD").then(|| "geheim-mail".to_owned())
    })
    .unwrap()
}

/// Opens the channels of a configuration.
fn channels(text: &str) -> Vec<Channel> {
    notify::open_all(&parsed(text).notify, "vault.test").unwrap()
}

fn channel(text: &str) -> Channel {
    let [channel] = <[_; 1]>::try_from(channels(text)).unwrap();
    channel
}

/// A webhook, as it is configured.
fn webhook(area: &TempDir, name: &str, url: &str, more: &str) -> String {
    let secret = secret(area.path(), "hook", "a secret of the hook\n");
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\n\
         secret_file = \"{}\"\n{more}\n",
        secret.display()
    )
}

fn mail(port: u16, more: &str) -> String {
    format!(
        "[[notify]]\nname = \"mail\"\nkind = \"mail\"\nhost = \"localhost\"\nport = {port}\n\
         from = \"vault@example.net\"\nto = [\"one@example.net\", \"two@example.net\"]\n{more}\n"
    )
}

fn message() -> Message {
    Message {
        id: 7,
        kind: Kind::PurgeHeld,
        level: Level::Critical,
        subject: "Very much <b> & \"so\" — ü".to_owned(),
        body: "one\n.\ntwo".to_owned(),
        at: "2026-11-30T10:00:00Z".to_owned(),
        vault: "vault.test".to_owned(),
    }
}

fn tell(scene: &Scene, level: Level, subject: &str) {
    let (moment, notice) = (
        scene.vault.now(),
        Notice {
            kind: Kind::Verdict,
            level,
            subject: subject.to_owned(),
            body: "what to do".to_owned(),
        },
    );
    scene
        .vault
        .database()
        .write(&mut |transaction| notices::tell(transaction, moment, &notice))
        .unwrap();
}

fn teller(scene: &Scene, text: &str) -> Teller {
    Teller::new(scene.vault.clone(), channels(text), "vault.test".to_owned())
}

/// Sends what is due, and waits until it is written down what came of it.
fn look(teller: &Teller) {
    teller.look().unwrap();
    wait_until(|| !teller.is_busy());
}

fn findings(scene: &Scene, text: &str) -> Vec<Finding> {
    let demands = Demands {
        verify_every_ms: i64::MAX,
        behind_ms: None,
        channels: Some(Channels::of(&parsed(text).notify)),
    };
    let found = scene.vault.findings(demands).unwrap();
    found
        .into_iter()
        .filter(|finding| finding.check == "notify")
        .collect()
}

#[test]
fn a_webhook_is_signed_over_its_time_and_its_body() {
    let (area, sink) = (TempDir::new().unwrap(), HttpSink::new(FINE));
    let hook = channel(&webhook(&area, "hook", &sink.url("/in?x=1"), ""));
    hook.send(&message(), NOW_S).unwrap();
    let asked = &sink.wait_for(1)[0];
    assert_eq!(asked.path, "/in?x=1");
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("strongroom-timestamp"), NOW_S.to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(b"a secret of the hook").unwrap();
    mac.update(format!("{NOW_S}.{}", asked.body).as_bytes());
    let signature = asked.header("strongroom-signature");
    let digest = signature.strip_prefix("v1=").unwrap();
    let digest = data_encoding::HEXLOWER.decode(digest.as_bytes()).unwrap();
    mac.verify_slice(&digest).unwrap();
    let expected = serde_json::json!({
        "id": 7,
        "kind": "purge-held",
        "level": "critical",
        "subject": message().subject,
        "body": message().body,
        "at": "2026-11-30T10:00:00Z",
        "vault": "vault.test",
    });
    assert_eq!(asked.json(), expected);
}

#[test]
fn ntfy_is_sent_its_topic_with_a_priority_and_slack_a_text_without_markup() {
    let (area, sink) = (TempDir::new().unwrap(), HttpSink::new(FINE));
    let token = secret(area.path(), "token", "tk_geheim");
    let address = secret(area.path(), "address", &sink.url("/services/geheim"));
    let all = channels(&format!(
        "[[notify]]\nname = \"phone\"\nkind = \"ntfy\"\nurl = \"{}\"\ntopic = \"my-topic\"\n\
         token_file = \"{}\"\n[[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = \"{}\"\n",
        sink.url(""),
        token.display(),
        address.display()
    ));
    for channel in &all {
        channel.send(&message(), NOW_S).unwrap();
    }
    let [ntfy, slack] = &sink.wait_for(2)[..] else {
        panic!();
    };
    assert_eq!(ntfy.path, "/");
    assert_eq!(ntfy.header("authorization"), "Bearer tk_geheim");
    let told = ntfy.json();
    assert_eq!(
        (&told["topic"], &told["priority"]),
        (&"my-topic".into(), &5.into())
    );
    assert!(
        told["title"]
            .as_str()
            .unwrap()
            .starts_with("[vault.test] CRITICAL: Very")
    );
    assert!(
        told["tags"]
            .as_array()
            .unwrap()
            .contains(&"purge-held".into())
    );
    assert_eq!(slack.path, "/services/geheim");
    let text = slack.json()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("Very much &lt;b&gt; &amp; \"so\""), "{text}");
    let quiet = Message {
        level: Level::Ordinary,
        ..message()
    };
    all[0].send(&quiet, NOW_S).unwrap();
    assert_eq!(sink.wait_for(3)[2].json()["priority"], 3);
}

#[test]
fn mail_is_plain_text_to_all_and_is_encrypted_unless_the_server_is_here() {
    let sink = MailSink::new(Duration::ZERO);
    let login = "tls = \"none\"\nuser = \"me\"\npassword = \"${SMTP_PASSWORD}\"";
    channel(&mail(sink.port, login))
        .send(&message(), NOW_S)
        .unwrap();
    let said = &sink.wait_for(1)[0];
    for part in [
        "EHLO vault.test\r\n",
        "AUTH PLAIN AG1lAGdlaGVpbS1tYWls\r\n",
        "MAIL FROM:<vault@example.net>",
        "RCPT TO:<one@example.net>\r\n",
        "RCPT TO:<two@example.net>\r\n",
        "\r\nFrom: Strongroom <vault@example.net>\r\n",
        "\r\nTo: one@example.net, two@example.net\r\n",
        "\r\nSubject: [vault.test] CRITICAL: Very much",
        "\r\nContent-Type: text/plain; charset=utf-8\r\n",
        "\r\nAuto-Submitted: auto-generated\r\n",
        "\r\none\r\n..\r\ntwo\r\n",
    ] {
        assert!(said.contains(part), "{part:?}: {said}");
    }

    // One that offers no TLS gets nothing.
    let sink = MailSink::new(Duration::ZERO);
    let error = channel(&mail(sink.port, "tls = \"starttls\"")).send(&message(), NOW_S);
    assert!(error.unwrap_err().contains("STARTTLS"));
    wait_until(|| !sink.said().is_empty());
    assert!(sink.said().iter().all(|said| !said.contains("MAIL")));

    // And one whose certificate nobody vouches for does not either.
    let (area, files) = own_certificate();
    let sink = MailSink::with(Duration::ZERO, Some(&files));
    let error = channel(&mail(sink.port, "")).send(&message(), NOW_S);
    assert!(error.unwrap_err().contains("certificate"));
    let trusted = format!("ca_file = \"{}\"", files.certificate.display());
    channel(&mail(sink.port, &trusted))
        .send(&message(), NOW_S)
        .unwrap();
    wait_until(|| sink.said().iter().any(|said| said.contains("MAIL FROM")));
    drop(area);
}

fn own_certificate() -> (TempDir, strongroom_vault::http::CertificateFiles) {
    let area = TempDir::new().unwrap();
    let names = Names {
        hosts: vec!["localhost".to_owned()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever asks looks at his own clock"
    )]
    let now = Timestamp::now();
    let (files, _) = make_own(area.path(), &names, now).unwrap();
    (area, files)
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_taken() {
    let (area, files) = own_certificate();
    let sink = HttpSink::with(FINE, Some(&files));
    let url = format!("https://localhost:{}/geheim", sink.port);
    let error = channel(&webhook(&area, "hook", &url, "")).send(&message(), NOW_S);
    let error = error.unwrap_err();
    assert!(
        error.contains("certificate") && !error.contains("geheim"),
        "{error}"
    );
    assert!(sink.asked().is_empty());
    let trusted = format!("ca_file = \"{}\"", files.certificate.display());
    let hook = channel(&webhook(&area, "hook", &url, &trusted));
    hook.send(&message(), NOW_S).unwrap();
    assert_eq!(sink.wait_for(1).len(), 1);
}

#[test]
fn what_fails_is_told_without_the_address_and_no_answer_leads_elsewhere() {
    let (area, elsewhere) = (TempDir::new().unwrap(), HttpSink::new(FINE));
    let to = Some(elsewhere.url("/stolen"));
    let sink = HttpSink::new(Answer::Status(307, to));
    for (url, told) in [
        (format!("{}/geheim?token=geheim", nobody()), "refused"),
        ("https://geheim.invalid/geheim".to_owned(), "not found"),
        (sink.url("/geheim"), "status 307"),
    ] {
        let address = secret(area.path(), "address", &url);
        let slack = format!(
            "[[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = \"{}\"\n",
            address.display()
        );
        for text in [webhook(&area, "hook", &url, ""), slack] {
            let channel = channel(&text);
            let error = channel.send(&message(), NOW_S).unwrap_err();
            assert!(!error.contains("geheim"), "{error}");
            assert!(error.contains(told), "{error}");
            assert!(!format!("{channel:?}").contains("geheim"), "{channel:?}");
        }
    }
    assert!(elsewhere.asked().is_empty());
    let debug = format!(
        "{:?}",
        parsed(&mail(
            25,
            "tls = \"none\"\nuser = \"me\"\npassword = \"${SMTP_PASSWORD}\""
        ))
    );
    assert!(!debug.contains("geheim"), "{debug}");
}

#[test]
fn a_channel_that_hangs_delays_no_other_one() {
    let (scene, area) = (Scene::new(), TempDir::new().unwrap());
    let (hangs, works) = (HttpSink::new(Answer::Nothing), HttpSink::new(FINE));
    let slow = MailSink::new(Duration::from_secs(9));
    let text = [
        webhook(&area, "hangs", &hangs.url("/"), ""),
        mail(slow.port, "tls = \"none\""),
        webhook(&area, "works", &works.url("/"), ""),
    ]
    .concat();
    let teller = teller(&scene, &text);
    for (count, subject) in ["one", "two", "three"].into_iter().enumerate() {
        tell(&scene, Level::Ordinary, subject);
        // Looking waits for no channel either.
        wait_until(|| {
            teller.look().unwrap();
            works.asked().len() > count
        });
        assert!(teller.is_busy(), "the others hang");
    }
    assert_eq!(hangs.asked().len(), 1);
    let subjects: Vec<_> = works
        .asked()
        .iter()
        .map(|asked| asked.json()["subject"].clone())
        .collect();
    assert_eq!(subjects, ["one", "two", "three"]);
}

#[test]
fn a_channel_that_drags_on_counts_as_failing_while_it_does() {
    let scene = Scene::new();
    let slow = MailSink::new(Duration::from_secs(9));
    let text = mail(slow.port, "tls = \"none\"");
    let teller = teller(&scene, &text);
    tell(&scene, Level::Ordinary, "one");
    teller.look().unwrap();
    assert!(teller.is_busy());
    assert_eq!(scene.vault.failing_channels().unwrap(), []);
    scene.pass(2 * MINUTE_MS);
    teller.look().unwrap();
    let failing = scene.vault.failing_channels().unwrap();
    assert!(
        failing[0].error.contains("longer than a minute"),
        "{failing:?}"
    );
}

#[test]
fn what_could_not_be_sent_is_tried_again_and_until_then_the_doctor_says_so() {
    let (scene, area) = (Scene::new(), TempDir::new().unwrap());
    let sink = HttpSink::new(Answer::Status(500, None));
    let text = webhook(
        &area,
        "hook",
        &sink.url("/geheim"),
        "outside_production = true",
    );
    let teller = teller(&scene, &text);
    assert_eq!(findings(&scene, &text), []);
    tell(&scene, Level::Ordinary, "one");
    look(&teller);
    assert_eq!(sink.asked().len(), 1);
    let [failing] = &findings(&scene, &text)[..] else {
        panic!();
    };
    assert!(failing.is_broken);
    assert!(
        failing.problem.contains("channel hook since 2027-"),
        "{failing:?}"
    );
    assert!(failing.problem.contains("status 500"), "{failing:?}");
    assert!(!failing.problem.contains("geheim"), "{failing:?}");
    // Not at once.
    look(&teller);
    assert_eq!(sink.asked().len(), 1);
    sink.now_answers(FINE);
    scene.pass(11 * SECOND_MS);
    look(&teller);
    assert_eq!(sink.asked().len(), 2);
    assert_eq!(findings(&scene, &text), []);
    scene.pass(MINUTE_MS);
    look(&teller);
    assert_eq!(sink.asked().len(), 2, "it is sent");
}

#[test]
fn a_critical_one_repeats_goes_to_others_and_ends_when_it_is_acknowledged() {
    let (scene, area) = (Scene::new(), TempDir::new().unwrap());
    let (page, boss) = (HttpSink::new(FINE), HttpSink::new(FINE));
    let text = [
        webhook(&area, "page", &page.url("/"), "level = \"critical\""),
        webhook(&area, "boss", &boss.url("/"), "escalation = true"),
    ]
    .concat();
    let teller = teller(&scene, &text);
    tell(&scene, Level::Ordinary, "nobody is told of this");
    tell(&scene, Level::Critical, "fire");
    let mut counts = Vec::new();
    for _ in 0..5 {
        look(&teller);
        counts.push((page.asked().len(), boss.asked().len()));
        scene.pass(5 * MINUTE_MS);
    }
    assert_eq!(counts, [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2)]);
    assert!(
        findings(&scene, &text)
            .iter()
            .any(|finding| finding.problem.contains("acknowledged by nobody"))
    );
    assert!(scene.vault.acknowledge_notice(2, Some(5)).unwrap());
    assert!(!scene.vault.acknowledge_notice(2, None).unwrap());
    let unknown = scene.vault.acknowledge_notice(9, None);
    assert!(matches!(
        unknown,
        Err(Error::Unknown { what: "notice", .. })
    ));
    let acts = scene.acts("notice-acknowledged");
    assert_eq!(acts.len(), 1);
    assert_eq!(
        (&acts[0]["notice"], &acts[0]["operator"]),
        (&2.into(), &5.into())
    );
    scene.pass(60 * MINUTE_MS);
    look(&teller);
    assert_eq!((page.asked().len(), boss.asked().len()), (5, 2));
    let told = scene.vault.notices(None).unwrap();
    assert_eq!(told[0].acknowledged_by, Some(5));
    // All at once.
    tell(&scene, Level::Critical, "fire");
    assert_eq!(scene.vault.acknowledge_all_notices(None).unwrap(), 1);
    look(&teller);
    assert_eq!(page.asked().len(), 5);
}

#[test]
fn whoever_causes_very_many_notices_fills_no_mailbox_and_hides_nothing() {
    let (scene, area, sink) = (Scene::new(), TempDir::new().unwrap(), HttpSink::new(FINE));
    let teller = teller(&scene, &webhook(&area, "hook", &sink.url("/"), ""));
    for minute in 0..30 {
        for number in 0..50 {
            tell(&scene, Level::Ordinary, &format!("noise {minute} {number}"));
        }
        if minute == 25 {
            tell(&scene, Level::Critical, "the one that matters");
        }
        for _ in 0..6 {
            look(&teller);
            scene.pass(10 * SECOND_MS);
        }
    }
    let asked = sink.asked();
    assert!(asked.len() <= 50, "{}", asked.len());
    let tells = |asked: &&sinks::Asked| asked.body.contains("the one that matters");
    let first = asked.iter().find(tells).expect("it is told");
    assert_eq!(first.json()["level"], "critical");
    let body = first.json()["body"].as_str().unwrap().to_owned();
    let line = body.lines().next().unwrap();
    assert!(line.ends_with("critical: the one that matters"), "{body}");
    let waiting = scene.vault.notices(None).unwrap();
    assert_eq!(waiting.len(), 100, "all of them are kept");
}

#[test]
fn what_a_process_that_dies_was_sending_is_sent_by_the_next_one() {
    let (scene, area) = (Scene::new(), TempDir::new().unwrap());
    let sink = HttpSink::new(Answer::Nothing);
    let text = webhook(&area, "hook", &sink.url("/"), "");
    tell(&scene, Level::Ordinary, "one");
    let dies = teller(&scene, &text);
    dies.look().unwrap();
    sink.wait_for(1);
    let beside = scene.beside();
    let goes_on = teller(&beside, &text);
    look(&goes_on);
    assert_eq!(sink.asked().len(), 1, "one process sends");
    sink.now_answers(FINE);
    beside.vault.end_leases_of_the_dead().unwrap();
    look(&goes_on);
    assert_eq!(sink.asked().len(), 2);
    assert_eq!(sink.asked()[1].json()["subject"], "one");
}

#[test]
fn the_doctor_says_where_nobody_is_told_or_where_production_could_silence_all() {
    let (scene, area) = (Scene::new(), TempDir::new().unwrap());
    let inside = webhook(&area, "in", "http://localhost/", "");
    let outside = webhook(
        &area,
        "out",
        "http://localhost/",
        "outside_production = true",
    );
    let boss = webhook(
        &area,
        "boss",
        "http://localhost/",
        "outside_production = true\nescalation = true",
    );
    for (text, told) in [
        (String::new(), Some("No channel is configured")),
        (inside.clone(), Some("outside of production's domain")),
        // It is told too late.
        (
            [inside.clone(), boss].concat(),
            Some("outside of production's domain"),
        ),
        ([inside, outside].concat(), None),
    ] {
        let found = findings(&scene, &text);
        match told {
            None => assert_eq!(found, []),
            Some(told) => assert!(found[0].problem.contains(told), "{found:?}"),
        }
    }
}

#[test]
fn a_jump_of_the_clock_is_told_with_its_leaf() {
    let scene = Scene::new();
    scene.clocks.lock().wall_ms += 60 * MINUTE_MS;
    scene.vault.tick().unwrap();
    assert_eq!(scene.acts("clock-jump").len(), 1);
    let told = scene.vault.notices(None).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].notice.kind, Kind::ClockJump);
    assert!(told[0].notice.subject.contains("3600 s"), "{told:?}");
    assert!(told[0].made_ms >= START_MS);
}
