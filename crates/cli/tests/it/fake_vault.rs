//! A vault as its contract says, small enough to be made to lie: restic's protocol in memory, and
//! what a vault tells beside it.
//!
//! It exists for what a real vault never does: rewriting its log, forgetting, refusing, claiming.

mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use strongroom_ledger::{
    Checkpoint, Hash, KeyKind, SignedCheckpoint, Signer, TileSource, consistency_proof,
};

use http::Asked;

pub(crate) use http::{Answer, Server};

const ORIGIN: &str = "vault.example/strongroom";

/// The name of whoever cosigns its log, and when he does.
pub(crate) const WITNESS: &str = "witness.example/w";
const WITNESSED_S: u64 = 1_700_000_000;

/// A running vault.
pub(crate) struct FakeVault {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// All that it is, for a test to change.
pub(crate) struct State {
    /// The files of its repositories, by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Keys that came after the repository was made, and are not listed.
    pub(crate) pending: BTreeMap<String, Vec<u8>>,
    /// What its log says.
    pub(crate) leaves: Vec<String>,
    /// Of its log's key.
    pub(crate) seed: u8,
    /// The key of the witness that cosigns its log, if any.
    pub(crate) witness: Option<u8>,
    /// Whether a witness cosigns only what is shown as cosigned, which is a leaf behind.
    pub(crate) is_witness_behind: bool,
    /// Whether it answers as a server that is no vault.
    pub(crate) is_plain: bool,
    /// Whether it has no time but for restic's protocol.
    pub(crate) is_busy: bool,
    /// What it answers instead of what it is; with 0 it closes the connection.
    pub(crate) withholds_hello: Option<u16>,
    /// Whether it does not tell of its repository.
    pub(crate) withholds_repository: bool,
    /// Whether nothing more comes into its log.
    pub(crate) is_frozen: bool,
    /// What it answers instead of its checkpoint and proof: a status, and a body.
    pub(crate) withholds_proof: Option<(u16, Value)>,
    /// The same, at every question but the first one after this was set.
    pub(crate) withholds_second_proof: Option<(u16, Value)>,
    /// What it answers to receipts, where that is no yes.
    pub(crate) refuses_receipts: Option<u16>,
    /// What it says of every snapshot.
    pub(crate) whole: Value,
    /// How many files it says it lacks.
    pub(crate) missing: Vec<String>,
    pub(crate) scrub: Value,
    /// The files that it says are rotten.
    pub(crate) rotten: BTreeSet<String>,
    pub(crate) runs_in: Value,
    /// In whose accounts it says that its objects lie; null where it is too old to tell.
    pub(crate) objects_in: Value,
    pub(crate) new_log: Value,
    /// The receipts that it took, in order: the body of each.
    pub(crate) receipts: Vec<Value>,
    /// All requests, as "POST /path".
    pub(crate) asked: Vec<String>,
}

impl FakeVault {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            pending: BTreeMap::new(),
            leaves: vec!["start".to_owned()],
            seed: 1,
            witness: None,
            is_witness_behind: false,
            is_plain: false,
            is_busy: false,
            withholds_hello: None,
            withholds_repository: false,
            is_frozen: false,
            withholds_proof: None,
            withholds_second_proof: None,
            refuses_receipts: None,
            whole: json!(true),
            missing: Vec::new(),
            scrub: Value::Null,
            rotten: BTreeSet::new(),
            runs_in: Value::Null,
            objects_in: Value::Null,
            new_log: Value::Null,
            receipts: Vec::new(),
            asked: Vec::new(),
        }));
        let answering = Arc::clone(&state);
        Self {
            server: Server::start(move |asked| answering.lock().unwrap().answer(asked)),
            state,
        }
    }

    /// The address of its one repository, for a configuration.
    pub(crate) fn store(&self) -> String {
        format!(
            "rest:http://backup:token@{}/acme/repos/",
            self.server.address()
        )
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How many requests so far began with these words.
    pub(crate) fn count(&self, request: &str) -> usize {
        let state = self.state();
        let asked = state.asked.iter();
        asked.filter(|asked| asked.starts_with(request)).count()
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let line = format!("{} {}", asked.method, asked.path);
        self.asked.push(line.clone());
        if let Some(path) = asked.path.strip_prefix("/v1/") {
            return match (self.is_plain, self.is_busy) {
                (true, _) => Answer::text(404, "404 page not found"),
                (false, true) => Answer::text(503, "busy"),
                (false, false) => self.tell(&asked.method, path, &asked.body),
            };
        }
        if !self.is_frozen {
            self.leaves.push(line);
        }
        self.rest(asked)
    }

    /// What a vault tells beside restic's protocol.
    fn tell(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if let ("vault", Some(status)) = (path, self.withholds_hello) {
            return Answer::text(status, "no");
        }
        match (method, path) {
            ("GET", "vault") => {
                let mut told = json!({
                    "version": "0.1.0",
                    "origin": ORIGIN,
                    "log_key": self.signer().verifier().to_string(),
                    "runs_in": self.runs_in,
                    "time": {
                        "wall": "2026-11-20T10:00:00Z", "vault": "2026-11-20T10:00:00Z",
                        "doubted": false,
                    },
                    "sealed": false,
                    "new_log": self.new_log,
                });
                if !self.objects_in.is_null() {
                    told["objects_in"] = self.objects_in.clone();
                }
                Answer::json(200, &told)
            }
            ("GET", "log/consistency") => {
                if let Some((status, body)) = &self.withholds_proof {
                    return Answer::json(*status, body);
                }
                if let Some(withheld) = self.withholds_second_proof.take() {
                    self.withholds_proof = Some(withheld);
                }
                let old = query.strip_prefix("old=").unwrap().parse().unwrap();
                Answer::json(200, &self.consistency(old))
            }
            ("GET", "repositories/acme/repos") if self.withholds_repository => {
                Answer::text(404, "not through this proxy")
            }
            ("GET", "repositories/acme/repos") => Answer::json(
                200,
                &json!({
                    "repository": "acme/repos",
                    "objects": self.files.len(),
                    "bytes": self.files.values().map(Vec::len).sum::<usize>(),
                    "quota_bytes": null,
                    "retention_s": 2_592_000,
                    "grace_s": 2_592_000,
                    "tombstones": 0,
                    "hidden": 0,
                    "pending_keys": self.pending.keys().collect::<Vec<_>>(),
                    "purge_held": null,
                    "scrub": self.scrub,
                }),
            ),
            ("GET", "repositories/acme/repos/snapshots") => {
                Answer::json(200, &json!({ "snapshots": self.snapshots() }))
            }
            ("GET", "repositories/acme/repos/rotten") => {
                // A page has two.
                let after = query.strip_prefix("after=").unwrap_or("");
                let mut left = self.rotten.iter().filter(|file| file.as_str() > after);
                let page: Vec<&String> = left.by_ref().take(2).collect();
                let next = left.next().and(page.last());
                let rotten: Vec<Value> = page
                    .iter()
                    .map(|file| json!({"file": file, "why": "changed"}))
                    .collect();
                Answer::json(200, &json!({"rotten": rotten, "next": next}))
            }
            ("POST", "receipts/acme/repos") => self.receipt(body),
            _ => Answer::json(
                404,
                &json!({"error": "There is nothing here", "hint": null}),
            ),
        }
    }

    fn receipt(&mut self, body: &[u8]) -> Answer {
        if let Some(status) = self.refuses_receipts {
            let error = json!({"error": "this token is bound to another client", "hint": "ask"});
            return Answer::json(status, &error);
        }
        let envelope: Value = serde_json::from_slice(body).unwrap();
        let text = envelope["receipt"]["body"].as_str().unwrap();
        let id = strongroom_model::Id::of(text.as_bytes()).to_string();
        let mut receipt: Value = serde_json::from_str(text).unwrap();
        let has = |id: &Value| self.receipts.iter().any(|known| known["id"] == *id);
        if !receipt["parent"].is_null() && !has(&receipt["parent"]) {
            let error = json!({"error": "its parent is not known", "needs": receipt["parent"]});
            return Answer::json(409, &error);
        }
        receipt["id"] = json!(id);
        let answer = json!({
            "receipt": id,
            "snapshot": receipt["snapshot"],
            "whole": self.whole,
            "missing": self.missing.len(),
        });
        if !has(&receipt["id"]) {
            self.receipts.push(receipt);
        }
        Answer::json(200, &answer)
    }

    fn snapshots(&self) -> Vec<Value> {
        let told = self.receipts.iter().map(|receipt| {
            json!({
                "snapshot": receipt["snapshot"],
                "receipt": receipt["id"],
                "source": receipt["source"],
                "host": receipt["host"],
                "time": receipt["time"],
                "client": receipt["client"],
                "token": "3f1c2a9e",
                "claimed": true,
                "whole": self.whole,
                "missing": self.missing.iter().take(10).collect::<Vec<_>>(),
                "missing_files": self.missing.len(),
            })
        });
        told.collect()
    }

    fn signer(&self) -> Signer {
        Signer::from_seed(KeyKind::Log, ORIGIN, &[self.seed; 32]).unwrap()
    }

    /// The signed checkpoint of the log as it is.
    pub(crate) fn checkpoint(&self) -> String {
        let witness = self.witness.filter(|_| !self.is_witness_behind);
        self.signed(&self.hashes(), witness)
    }

    fn signed(&self, leaves: &[Hash], witness: Option<u8>) -> String {
        let checkpoint = Checkpoint::new(ORIGIN, leaves.len() as u64, root(leaves)).unwrap();
        let mut signed = SignedCheckpoint::sign(checkpoint, &self.signer()).unwrap();
        if let Some(seed) = witness {
            let witness = Signer::from_seed(KeyKind::Witness, WITNESS, &[seed; 32]).unwrap();
            let signature = witness.cosign(signed.note().text(), WITNESSED_S).unwrap();
            signed
                .add_cosignature(signature, witness.verifier())
                .unwrap();
        }
        signed.note().to_string()
    }

    fn consistency(&self, old: u64) -> Value {
        let leaves = self.hashes();
        let size = leaves.len() as u64;
        let proof = match old <= size {
            true => consistency_proof(Leaves(&leaves), old, size).unwrap(),
            false => Vec::new(),
        };
        let told =
            |proof: Vec<Hash>| -> Vec<String> { proof.iter().map(ToString::to_string).collect() };
        let mut answer = json!({"checkpoint": self.checkpoint(), "proof": told(proof)});
        if self.is_witness_behind {
            let proof = consistency_proof(Leaves(&leaves), size - 1, size).unwrap();
            answer["witnessed"] = json!({
                "checkpoint": self.signed(&leaves[..leaves.len() - 1], self.witness),
                "proof": told(proof),
            });
        }
        answer
    }

    fn hashes(&self) -> Vec<Hash> {
        self.leaves
            .iter()
            .map(|leaf| Hash::leaf(leaf.as_bytes()))
            .collect()
    }

    /// restic's protocol, version 2, for the one repository.
    fn rest(&mut self, asked: &Asked) -> Answer {
        let path = asked.path.split('?').next().unwrap_or_default();
        let Some(path) = path.strip_prefix("/acme/repos/") else {
            return Answer::text(404, "not here");
        };
        match (asked.method.as_str(), path) {
            ("POST", "") => Answer::text(200, ""),
            ("GET", folder) if folder.ends_with('/') => self.list(folder),
            ("GET" | "HEAD", path) => match self.files.get(path) {
                Some(bytes) => asked.part_of(bytes),
                None => Answer::text(404, "not here"),
            },
            ("POST", path) => {
                let key = path.strip_prefix("keys/");
                if let Some(key) = key.filter(|_| self.files.contains_key("config")) {
                    if !self.files.contains_key(path) {
                        self.pending.insert(key.to_owned(), asked.body.clone());
                    }
                } else {
                    self.files.insert(path.to_owned(), asked.body.clone());
                }
                Answer::text(200, "")
            }
            ("DELETE", path) if path.starts_with("locks/") => {
                self.files.remove(path);
                Answer::text(200, "")
            }
            _ => Answer::text(403, "a token that appends"),
        }
    }

    fn list(&self, folder: &str) -> Answer {
        let files = self.files.iter().filter_map(|(path, bytes)| {
            let name = path.strip_prefix(folder)?;
            Some(json!({"name": name, "size": bytes.len()}))
        });
        let list: Vec<Value> = files.collect();
        let mut answer = Answer::json(200, &json!(list));
        answer.content_type = "application/vnd.x.restic.rest.v2";
        answer
    }

    /// The names of its files in a folder.
    pub(crate) fn names(&self, folder: &str) -> BTreeSet<String> {
        let of_folder = format!("{folder}/");
        let names = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(&of_folder));
        names.map(str::to_owned).collect()
    }
}

/// The root over leaves, as RFC 6962 defines it.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            Hash::node(&root(left), &root(right))
        }
    }
}

/// Tiles made from leaves, for proofs.
struct Leaves<'a>(&'a [Hash]);

impl TileSource for Leaves<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> strongroom_ledger::Result<Vec<Hash>> {
        let span = 256_usize.pow(u32::from(level));
        let hashes = (0..usize::from(width)).map(|number| {
            let from = (usize::try_from(index).unwrap() * 256 + number) * span;
            root(&self.0[from..from + span])
        });
        Ok(hashes.collect())
    }
}
