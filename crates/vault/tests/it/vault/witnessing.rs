//! A vault as a witness of other logs: it signs what goes on from what it signed before, and
//! nothing else.

use strongroom_ledger::witness::{AddCheckpoint, Answer};
use strongroom_ledger::{
    Checkpoint, Edge, Hash, KeyKind, SignedCheckpoint, Signer, TileSource, consistency_proof,
};

use strongroom_vault::rules::notices::Kind;

use super::scene::{START_MS, Scene};

/// A log in memory.
struct Log {
    signer: Signer,
    leaves: Vec<Vec<u8>>,
}

/// The leaves of a log, all in tiles of the lowest level.
struct Tiles(Vec<Hash>);

impl TileSource for Tiles {
    fn tile(&self, level: u8, index: u64, width: u16) -> strongroom_ledger::Result<Vec<Hash>> {
        assert_eq!((level, index), (0, 0), "these logs are short");
        Ok(self.0[..usize::from(width)].to_vec())
    }
}

impl Log {
    fn new() -> Self {
        Self {
            signer: Signer::from_seed(KeyKind::Log, "other.test/log", &[3; 32]).unwrap(),
            leaves: Vec::new(),
        }
    }

    fn grow(&mut self, leaves: usize) {
        for _ in 0..leaves {
            self.leaves
                .push(format!("leaf {}", self.leaves.len()).into_bytes());
        }
    }

    fn request(&self, old_size: u64) -> AddCheckpoint {
        let mut edge = Edge::default();
        for leaf in &self.leaves {
            edge.append(leaf).unwrap();
        }
        let name = self.signer.verifier().name();
        let checkpoint = Checkpoint::new(name, edge.size(), edge.root()).unwrap();
        let signed = SignedCheckpoint::sign(checkpoint, &self.signer).unwrap();
        let tiles = Tiles(self.leaves.iter().map(|leaf| Hash::leaf(leaf)).collect());
        let proof = match old_size {
            0 => Vec::new(),
            _ => consistency_proof(&tiles, old_size, edge.size()).unwrap(),
        };
        AddCheckpoint {
            old_size,
            proof,
            checkpoint: signed.note().clone(),
        }
    }
}

fn witness() -> Signer {
    Signer::from_seed(KeyKind::Witness, "witness.test", &[4; 32]).unwrap()
}

fn ask(scene: &Scene, log: &Log, request: AddCheckpoint) -> Answer {
    let signer = witness();
    scene
        .vault
        .cosign(log.signer.verifier(), &signer, request)
        .unwrap()
}

#[test]
fn a_log_that_goes_on_is_cosigned_with_the_time() {
    let scene = Scene::new();
    let mut log = Log::new();
    log.grow(5);
    for (old_size, more) in [(0, 0), (5, 0), (5, 8), (13, 100)] {
        log.grow(more);
        let request = log.request(old_size);
        let note = request.checkpoint.clone();
        let Answer::Cosigned(signatures) = ask(&scene, &log, request) else {
            panic!("{old_size} {more}");
        };
        let mut signed = SignedCheckpoint::verify(note, log.signer.verifier()).unwrap();
        let key = witness();
        signed
            .add_cosignature(signatures[0].clone(), key.verifier())
            .unwrap();
        let at_s = signed.witnessed_at(key.verifier()).unwrap();
        assert_eq!(i64::try_from(at_s).unwrap(), START_MS / 1000);
    }
    let known = scene.vault.witnessed().unwrap();
    assert_eq!((known.len(), known[0].size), (1, 113));
}

#[test]
fn a_log_that_is_rewritten_is_refused_whatever_it_tries_and_told_of_once() {
    let scene = Scene::new();
    let mut log = Log::new();
    log.grow(10);
    assert!(matches!(
        ask(&scene, &log, log.request(0)),
        Answer::Cosigned(_)
    ));
    // The same size, another past.
    log.leaves[3] = b"rewritten".to_vec();
    assert_eq!(
        ask(&scene, &log, log.request(10)),
        Answer::Conflict { size: 10 }
    );
    // From the beginning, as if it were new.
    assert_eq!(
        ask(&scene, &log, log.request(0)),
        Answer::Conflict { size: 10 }
    );
    // Longer, with the proof that it has.
    log.grow(5);
    assert_eq!(ask(&scene, &log, log.request(10)), Answer::BadProof);
    let mut forged = log.request(10);
    forged.proof.clear();
    assert_eq!(ask(&scene, &log, forged), Answer::BadProof);
    // Shorter.
    log.leaves.truncate(8);
    assert_eq!(
        ask(&scene, &log, log.request(8)),
        Answer::Conflict { size: 10 }
    );
    let mut shorter = log.request(0);
    shorter.old_size = 10;
    assert_eq!(ask(&scene, &log, shorter), Answer::BadRequest);
    let told = scene.acts("witness-alarm");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["log"], "other.test/log");
    let told = scene.vault.notices(None).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].notice.kind, Kind::WitnessAlarm);

    // Neither does a restart make it forget.
    let scene = scene.reopened();
    assert_eq!(
        ask(&scene, &log, log.request(0)),
        Answer::Conflict { size: 10 }
    );
    let mut honest = Log::new();
    honest.grow(12);
    let goes_on = ask(&scene, &honest, honest.request(10));
    assert!(matches!(goes_on, Answer::Cosigned(_)), "{goes_on:?}");
}

#[test]
fn whoever_has_not_the_key_of_a_log_changes_nothing() {
    let scene = Scene::new();
    let mut log = Log::new();
    log.grow(4);
    let key = log.signer.verifier().clone();
    log.signer = Signer::from_seed(KeyKind::Log, "other.test/log", &[9; 32]).unwrap();
    let answer = scene
        .vault
        .cosign(&key, &witness(), log.request(0))
        .unwrap();
    assert_eq!(answer, Answer::Forbidden);
    log.signer = Signer::from_seed(KeyKind::Log, "third.test/log", &[9; 32]).unwrap();
    let answer = scene
        .vault
        .cosign(&key, &witness(), log.request(0))
        .unwrap();
    assert_eq!(answer, Answer::UnknownLog);
    assert_eq!(scene.vault.witnessed().unwrap(), []);
}
