//! Witnesses of a log that several processes publish: one of them asks, all of them serve what came
//! of it, and no witness can cost anything.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::Mutex;
use strongroom_ledger::witness::{AddCheckpoint, Answer};
use strongroom_ledger::{KeyKind, SignedCheckpoint, Signer, Verifier};
use strongroom_vault::config::WitnessConfig;
use strongroom_vault::people::Who;
use strongroom_vault::publication::{Publisher, Witnesses};
use strongroom_vault::rules::clock::{HOUR_MS, SECOND_MS};

use super::pairs::{on_both, publisher};
use crate::vault::scene::Scene;

/// When it signs, by its own clock.
const TIME_S: u64 = 1_700_000_000;

/// What a witness makes of a request.
type Behaviour = dyn Fn(&Signer, AddCheckpoint) -> Answer + Send + Sync;

/// A witness on this machine.
struct FakeWitness {
    address: String,
    key: Verifier,
    asked: Arc<Mutex<Vec<AddCheckpoint>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeWitness {
    fn start(name: &str, behaviour: Arc<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let signer = Signer::from_seed(KeyKind::Witness, name, &[5; 32]).unwrap();
        let key = signer.verifier().clone();
        let (asked, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (requests, is_over) = (Arc::clone(&asked), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                answer(stream.unwrap(), &signer, &*behaviour, &requests);
            }
        });
        Self {
            address,
            key,
            asked,
            ended,
            thread: Some(thread),
        }
    }

    /// One that cosigns whatever it is shown.
    fn honest(name: &str) -> Self {
        Self::start(name, Arc::new(cosign))
    }

    fn config(&self) -> WitnessConfig {
        WitnessConfig {
            url: format!("http://{}/below", self.address).parse().unwrap(),
            key: self.key.clone(),
            ca_file: None,
        }
    }

    fn count(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Drop for FakeWitness {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn cosign(signer: &Signer, request: AddCheckpoint) -> Answer {
    let signature = signer.cosign(request.checkpoint.text(), TIME_S).unwrap();
    Answer::Cosigned(vec![signature])
}

fn answer(
    mut stream: TcpStream,
    signer: &Signer,
    behaviour: &Behaviour,
    requests: &Mutex<Vec<AddCheckpoint>>,
) {
    let mut bytes = Vec::new();
    let mut step = [0; 4096];
    let body = loop {
        let Ok(count @ 1..) = stream.read(&mut step) else {
            return;
        };
        bytes.extend_from_slice(&step[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        assert!(
            head.starts_with("post /below/add-checkpoint http/1.1"),
            "{head}"
        );
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            break bytes[end + 4..].to_vec();
        }
    };
    let request = AddCheckpoint::decode(&body).unwrap();
    requests.lock().push(request.clone());
    let answer = behaviour(signer, request);
    let body = answer.body();
    let text = format!(
        "HTTP/1.1 {} Well\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        answer.status(),
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
}

/// Adds a leaf, and publishes it.
fn grow(scene: &Scene, publisher: &Publisher, path: &str) -> u64 {
    scene
        .vault
        .add_repository(Who::Folder, &path.parse().unwrap())
        .unwrap();
    publisher.publish().unwrap()
}

/// The checkpoint that most witnesses have cosigned, as a process serves it.
fn witnessed(publisher: &Publisher) -> Option<SignedCheckpoint> {
    let key: Verifier = publisher.key().parse().unwrap();
    let note = publisher.published().file("witnessed").unwrap()?;
    Some(SignedCheckpoint::open(&note, &key).unwrap())
}

fn newest(publisher: &Publisher) -> SignedCheckpoint {
    let key: Verifier = publisher.key().parse().unwrap();
    let note = publisher.published().file("checkpoint").unwrap().unwrap();
    SignedCheckpoint::open(&note, &key).unwrap()
}

fn later(scenes: &[&Scene], ms: i64) {
    for scene in scenes {
        scene.clocks.lock().boottime_ms += ms;
    }
}

#[test]
fn two_processes_ask_a_witness_once_and_both_serve_what_it_has_cosigned() {
    on_both(|| {
        let witness = FakeWitness::honest("witness.test/w");
        let one = Scene::new();
        let other = one.beside();
        let publishers = [publisher(&one), publisher(&other)];
        let configs = [witness.config()];
        let asking = [(); 2].map(|()| Witnesses::new(&configs).unwrap());
        let size = grow(&one, &publishers[0], "acme/one");
        let ask = |which: usize| asking[which].ask(&publishers[which]).unwrap();
        for which in [0, 1, 0, 1] {
            ask(which);
        }
        assert_eq!(witness.count(), 1);
        for publisher in &publishers {
            let (best, newest) = (witnessed(publisher).unwrap(), newest(publisher));
            for signed in [best, newest] {
                assert_eq!(signed.checkpoint().size(), size);
                assert_eq!(signed.witnessed_at(&witness.key).unwrap(), TIME_S);
            }
            publisher.mend().unwrap();
        }
        let copy = std::fs::read(one.folder.path().join("log/checkpoint")).unwrap();
        assert_eq!(copy, newest(&publishers[0]).note().to_string().as_bytes());

        // The log goes on, and the cosigned one is still shown, with the way from it.
        let more = grow(&other, &publishers[1], "acme/two");
        let proved = publishers[0].published().consistency(0).unwrap();
        let shown = proved.witnessed.unwrap();
        let key: Verifier = publishers[0].key().parse().unwrap();
        let shown_note = SignedCheckpoint::open(shown.checkpoint.as_bytes(), &key).unwrap();
        assert_eq!(shown_note.checkpoint().size(), size);
        let holds = strongroom_ledger::verify_consistency(
            size,
            more,
            &shown.proof,
            &shown_note.checkpoint().root(),
            &newest(&publishers[0]).checkpoint().root(),
        );
        assert!(holds.is_ok(), "{holds:?}");
        // The first process is gone; the other one goes on where it was.
        later(&[&one, &other], 6 * SECOND_MS);
        one.vault.release_leases().unwrap();
        ask(1);
        assert_eq!(witnessed(&publishers[0]).unwrap().checkpoint().size(), more);
        let known = other.vault.witnesses().unwrap();
        assert_eq!((known.len(), known[0].size), (1, Some(more)));
        assert_eq!(known[0].trouble, None);
    });
}

#[test]
fn what_most_have_cosigned_is_shown_while_others_take_their_time() {
    let scene = Scene::new();
    let log = publisher(&scene);
    let [one, two] = ["one.test", "two.test"].map(FakeWitness::honest);
    let both = Witnesses::new(&[one.config(), two.config()]).unwrap();
    let size = grow(&scene, &log, "acme/one");
    both.ask(&log).unwrap();
    assert_eq!(witnessed(&log).unwrap().note().signatures().len(), 3);
    // Only one of them is asked from now on.
    let alone = Witnesses::new(&[one.config()]).unwrap();
    grow(&scene, &log, "acme/two");
    alone.ask(&log).unwrap();
    assert_eq!(witnessed(&log).unwrap().checkpoint().size(), size);
    assert_eq!(newest(&log).note().signatures().len(), 2);
    assert_eq!(scene.vault.witnesses().unwrap().len(), 1);
    // For ten minutes, and not for ever.
    scene.pass(HOUR_MS);
    let more = grow(&scene, &log, "acme/three");
    alone.ask(&log).unwrap();
    assert_eq!(witnessed(&log).unwrap().checkpoint().size(), more);
}

#[test]
fn a_witness_that_is_away_or_lies_costs_nothing() {
    let liars: [Arc<Behaviour>; 7] = [
        // It signs with another key, or something else, or nothing.
        Arc::new(|_, request| {
            let other = Signer::from_seed(KeyKind::Witness, "liar.test", &[6; 32]).unwrap();
            cosign(&other, request)
        }),
        Arc::new(|signer, request| {
            let text = request
                .checkpoint
                .text()
                .replacen("vault.test", "vault.mine", 1);
            Answer::Cosigned(vec![signer.cosign(&text, TIME_S).unwrap()])
        }),
        Arc::new(|signer, request| match cosign(signer, request) {
            // A bit of the signature is flipped.
            Answer::Cosigned(mut signatures) => {
                let text = signatures.remove(0).to_string();
                let (head, end) = text.split_at(text.len() - 10);
                let other = if end.starts_with('A') { 'B' } else { 'A' };
                let text = format!("{head}{other}{}", &end[1..]);
                Answer::Cosigned(vec![text.parse().unwrap()])
            }
            answer => answer,
        }),
        // It says that the log was set back, or rewritten, or that it does not know it.
        Arc::new(|_, _| Answer::Conflict { size: 1 << 40 }),
        Arc::new(|_, _| Answer::BadProof),
        Arc::new(|_, request| Answer::Conflict {
            size: (request.old_size + 1) % 3,
        }),
        Arc::new(|_, _| Answer::UnknownLog),
    ];
    let scene = Scene::new();
    let log = publisher(&scene);
    let honest = FakeWitness::honest("honest.test");
    for (number, liar) in (0..).zip(liars) {
        let liar = FakeWitness::start("liar.test", liar);
        let asking = Witnesses::new(&[liar.config(), honest.config()]).unwrap();
        let size = grow(&scene, &log, &format!("acme/r{number}"));
        for _ in 0..20 {
            asking.ask(&log).unwrap();
            scene.pass(6 * SECOND_MS);
        }
        let asked = liar.count();
        assert!((1..=10).contains(&asked), "{number}: asked {asked} times");
        let known = scene.vault.witnesses().unwrap();
        let known = known
            .iter()
            .find(|known| known.vkey == liar.key.to_string());
        assert!(
            known.is_some_and(|known| known.trouble.is_some()),
            "{number}"
        );
        assert!(newest(&log).witnessed_at(&liar.key).is_err(), "{number}");
        // What it signed spoils no note, and the honest one's stands.
        assert_eq!(newest(&log).witnessed_at(&honest.key).unwrap(), TIME_S);
        assert!(newest(&log).checkpoint().size() >= size);
        log.publish().unwrap();
    }
    // What they say of the log is told, at most once an hour, and nothing follows from it.
    let told = scene.acts("log-wrong");
    assert!((1..=2).contains(&told.len()), "{told:?}");
    assert_eq!(log.look_back().unwrap(), None);
    let observed = scene.vault.observe().unwrap();
    assert_eq!(observed.look_back.wrong, []);

    // Nobody there, and one that never answers: the honest one does not wait for them.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut silent = honest.config();
    silent.url = format!("http://{}/", nobody.local_addr().unwrap())
        .parse()
        .unwrap();
    silent.key = Signer::from_seed(KeyKind::Witness, "silent.test", &[8; 32])
        .unwrap()
        .verifier()
        .clone();
    let mut away = silent.clone();
    away.url = "http://127.0.0.1:1/".parse().unwrap();
    away.key = Signer::from_seed(KeyKind::Witness, "away.test", &[8; 32])
        .unwrap()
        .verifier()
        .clone();
    let asking = Witnesses::new(&[silent, away, honest.config()]).unwrap();
    let size = grow(&scene, &log, "acme/last");
    let start = Instant::now();
    thread::scope(|scope| {
        let asked = scope.spawn(|| asking.ask(&log));
        super::process::wait_until("the honest one has cosigned", || {
            witnessed(&log).is_some_and(|signed| signed.checkpoint().size() == size)
        });
        assert!(
            start.elapsed().as_secs() < 8,
            "it waited for the silent one"
        );
        // The log is published meanwhile.
        grow(&scene, &log, "acme/meanwhile");
        asked.join().unwrap().unwrap();
    });
    let known = scene.vault.witnesses().unwrap();
    let failing = known.iter().filter(|known| known.trouble.is_some());
    assert_eq!(failing.count(), 2, "{known:?}");
}
