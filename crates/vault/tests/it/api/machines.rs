//! What machines ask, by each right.

use data_encoding::BASE64;
use serde_json::{Value, json};
use strongroom_ledger::{Hash, SignedCheckpoint, Verifier, verify_consistency, verify_inclusion};
use strongroom_model::attack::Verdict;
use strongroom_model::receipt::NeedsChange;
use strongroom_model::{FileName, FileType};
use strongroom_vault::records::coming;
use strongroom_vault::rules::clock::HOUR_MS;
use strongroom_vault::rules::right::Right;
use tokio::task::yield_now;

use super::server::{Answer, Server};
use crate::signing::{Client, first, needs};
use crate::vault::scene::{key_file, repository};

const RECEIPTS: &str = "/v1/receipts/acme/repos";
const SNAPSHOTS: &str = "/v1/repositories/acme/repos/snapshots";

/// A repository with a snapshot, and what the snapshot needs.
fn fill(server: &Server) -> (FileName, Vec<FileName>) {
    let scene = &server.scene;
    let append = scene.token(Right::Append);
    let key = scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let index = scene.put(&append, FileType::Index, b"an index").unwrap();
    let snapshot = scene
        .put(&append, FileType::Snapshots, b"a snapshot")
        .unwrap();
    (snapshot, vec![key, pack, index])
}

fn hashes(proof: &Value) -> Vec<Hash> {
    let all = proof.as_array().unwrap().iter();
    all.map(|hash| hash.as_str().unwrap().parse().unwrap())
        .collect()
}

fn checkpoint(answer: &Answer, key: &str) -> (u64, Hash) {
    let key: Verifier = key.parse().unwrap();
    let note = answer.body["checkpoint"].as_str().unwrap();
    let signed = SignedCheckpoint::open(note.as_bytes(), &key).unwrap();
    (signed.checkpoint().size(), signed.checkpoint().root())
}

#[tokio::test]
async fn any_token_learns_which_vault_it_is_and_how_its_log_goes_on() {
    let server = Server::start().await;
    fill(&server);
    let token = server.token(Right::Report, "acme");
    let caller = server.as_bearer(&token);
    let vault = caller.get("/v1/vault").await;
    assert_eq!(vault.status, 200);
    assert_eq!(vault.body["origin"], "vault.test/log");
    let place = json!({ "account": "123456789012", "by": "declared" });
    assert_eq!(vault.body["runs_in"], place);
    assert_eq!(vault.body["objects_in"], json!(["aws-owner:aa"]));
    assert_eq!(vault.body["sealed"], false);
    assert_eq!(vault.body["time"]["doubted"], false);
    assert_eq!(vault.body["new_log"], Value::Null);
    let key = vault.body["log_key"].as_str().unwrap().to_owned();

    let old = caller.get("/v1/log/consistency?old=0").await;
    assert_eq!(old.body["proof"], json!([]));
    let (old_size, old_root) = checkpoint(&old, &key);
    // What was written a moment ago is in the proof.
    let append = server.scene.token(Right::Append);
    for number in 0..300_u32 {
        let content = number.to_le_bytes();
        server.scene.put(&append, FileType::Data, &content).unwrap();
    }
    let new = caller
        .get(&format!("/v1/log/consistency?old={old_size}"))
        .await;
    let (size, root) = checkpoint(&new, &key);
    assert!(size >= old_size + 300);
    let proof = hashes(&new.body["proof"]);
    verify_consistency(old_size, size, &proof, &old_root, &root).unwrap();
    for leaf in [0, old_size, 255, 256, size - 1] {
        let found = caller.get(&format!("/v1/log/inclusion?leaf={leaf}")).await;
        let (size, root) = checkpoint(&found, &key);
        let entry = found.body["entry"].as_str().unwrap();
        let entry = BASE64.decode(entry.as_bytes()).unwrap();
        let told: Value = serde_json::from_slice(&entry).unwrap();
        assert_eq!(told["n"], leaf);
        let proof = hashes(&found.body["proof"]);
        verify_inclusion(&Hash::leaf(&entry), leaf, size, &proof, &root).unwrap();
    }
    let future = caller.get("/v1/log/consistency?old=99999999").await;
    assert_eq!((future.status, &future.body["proof"]), (200, &json!([])));
    let future = caller.get("/v1/log/inclusion?leaf=99999999").await;
    assert_eq!(future.status, 404);
    for query in [
        "",
        "?old",
        "?old=",
        "?old=-1",
        "?old=x",
        "?new=1",
        "?old=1&x=2",
    ] {
        let answer = caller.get(&format!("/v1/log/consistency{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(caller.get("/v1/vault?x=1").await.status, 400);
}

#[tokio::test]
async fn an_appender_sends_receipts_and_sees_what_is_whole() {
    let server = Server::start().await;
    let (snapshot, files) = fill(&server);
    let client = Client::new(1);
    let caller = server.as_appender();
    let needed = needs(&files, b"the config");
    let receipt = client.receipt(snapshot, None, first(&needed));
    let signed = client.sign(&receipt);
    let body: Value = serde_json::from_slice(&client.request(&signed)).unwrap();
    let none = caller.get(SNAPSHOTS).await;
    assert_eq!(none.body, json!({ "snapshots": [] }));
    for _ in 0..2 {
        let answer = caller.post(RECEIPTS, body.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["receipt"], signed.id().to_string());
        assert_eq!(answer.body["whole"], true);
        assert_eq!(answer.body["missing"], 0);
    }
    let maintain = server.scene.token(Right::Maintain);
    let vault = server.vault();
    vault.remove(&maintain, &repository(), files[1]).unwrap();
    let list = caller.get(SNAPSHOTS).await;
    let told = &list.body["snapshots"][0];
    assert_eq!(told["claimed"], true);
    assert_eq!(told["whole"], false);
    assert_eq!(told["missing"], json!([files[1].to_string()]));
    assert_eq!(told["missing_files"], 1);
    assert_eq!(told["time"], "2026-11-23T04:00:00Z");
    assert_eq!(told["client"], client.id().to_string());

    let same = NeedsChange::between(&needed, &needed);
    let middle = client.receipt(snapshot, Some(signed.id()), same.clone());
    let middle = client.sign(&middle);
    let last = client.sign(&client.receipt(snapshot, Some(middle.id()), same));
    let sent = caller
        .ask("POST", RECEIPTS, Some(client.request(&last)))
        .await;
    assert_eq!(sent.status, 409);
    assert_eq!(sent.body["needs"], middle.id().to_string());
    for receipt in [&middle, &last] {
        let body = client.request(receipt);
        assert_eq!(caller.ask("POST", RECEIPTS, Some(body)).await.status, 200);
    }
    // Of a snapshot the newest one is told.
    let list = caller.get(SNAPSHOTS).await;
    let told = list.body["snapshots"].as_array().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["receipt"], last.id().to_string());
    // Another client's key by the same token.
    let other = Client::new(2);
    let signed = other.sign(&other.receipt(snapshot, None, first(&needed)));
    let body = other.request(&signed);
    let refused = caller.ask("POST", RECEIPTS, Some(body)).await;
    assert_eq!(refused.status, 403);
    let hint = refused.body["hint"].as_str().unwrap();
    assert!(hint.contains("forget-client-key"), "{hint}");
}

#[tokio::test]
async fn the_statement_of_a_drill_is_a_leaf_of_the_client_that_is_bound() {
    const DRILLS: &str = "/v1/drills/acme/repos";
    let server = Server::start().await;
    fill(&server);
    let (client, other) = (Client::new(1), Client::new(2));
    let caller = server.as_appender();
    let (id, sent) = client.drill(Verdict::Proven { until: None });
    let answer = caller.post(DRILLS, sent.clone()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, json!({ "drill": id.to_string() }));
    let leaf = server.scene.acts("drill").pop().unwrap();
    assert_eq!(leaf["drill"], id.to_string());
    assert_eq!(leaf["client"], client.id().to_string());
    assert_eq!(leaf["repository"], "acme/repos");
    assert_eq!((&leaf["copies"], &leaf["proven"]), (&json!(1), &json!(1)));
    assert_eq!(server.scene.acts("client-key").len(), 1);

    // Another client's key by the same token, a signature of something else, another repository.
    let (_, foreign) = other.drill(Verdict::NotProven);
    assert_eq!(caller.post(DRILLS, foreign.clone()).await.status, 403);
    let mut forged = sent.clone();
    forged["drill"]["signature"] = foreign["drill"]["signature"].clone();
    assert_eq!(caller.post(DRILLS, forged).await.status, 400);
    let mut keyless = sent.clone();
    keyless["key"] = "AAAA".into();
    assert_eq!(caller.post(DRILLS, keyless).await.status, 400);
    let elsewhere = caller.post("/v1/drills/else/where", sent).await;
    assert_eq!(elsewhere.status, 403);
    assert_eq!(server.scene.acts("drill").len(), 1);
}

/// How many receipts of one token may be on their way.
const RECEIPTS_OF_TOKEN: usize = 8;

#[tokio::test]
async fn one_token_holds_few_receipts_open_and_keeps_nobody_from_sending() {
    let server = Server::start().await;
    let (snapshot, files) = fill(&server);
    let client = Client::new(1);
    let needed = needs(&files, b"the config");
    let signed = client.sign(&client.receipt(snapshot, None, first(&needed)));
    let token = server.token(Right::Append, "acme");
    let held: Vec<_> = (0..RECEIPTS_OF_TOKEN)
        .map(|_| {
            let who = server.vault().authenticate(&token).unwrap();
            let folder = server.scene.folder.path();
            let begun = server
                .vault()
                .begin_receipt(&who, &repository(), None, folder);
            begun.unwrap()
        })
        .collect();
    let caller = server.as_bearer(&token);
    let send = || caller.ask("POST", RECEIPTS, Some(client.request(&signed)));
    let refused = send().await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.headers.get("retry-after").unwrap(), "1");
    let error = refused.body["error"].as_str().unwrap();
    assert!(error.contains("8 receipts on their way"), "{error}");
    // Another token of the same client sends.
    let other = server.as_appender();
    let body = client.request(&signed);
    assert_eq!(other.ask("POST", RECEIPTS, Some(body)).await.status, 200);
    drop(held);
    assert_eq!(send().await.status, 200);
}

/// A receipt on its way in by another process.
const ATTEMPT: &str = "another process";

/// How many receipts the only token has sent that has sent any.
fn sent(server: &Server) -> i64 {
    let statement = "SELECT receipts FROM receipt_day";
    let vault = server.vault();
    let sent = vault
        .database()
        .look(|transaction| transaction.first(statement, &[], |row| row.int(0)));
    sent.unwrap().unwrap()
}

#[tokio::test]
async fn who_waits_for_a_receipt_of_its_source_keeps_nobody_from_sending() {
    let server = Server::start().await;
    let (snapshot, files) = fill(&server);
    let needed = needs(&files, b"the config");
    let client = Client::new(1);
    let one = client.sign(&client.receipt(snapshot, None, first(&needed)));
    let same = NeedsChange::between(&needed, &needed);
    let next = client.sign(&client.receipt(snapshot, Some(one.id()), same));
    let caller = server.as_appender();
    let send = |signed| caller.ask("POST", RECEIPTS, Some(client.request(signed)));
    assert_eq!(send(&one).await.status, 200);
    // Another process writes one down that is large.
    let database = server.vault().database();
    let begun = database.write(&mut |transaction| coming::begin(transaction, 1, 1, ATTEMPT));
    begun.unwrap();
    let others = async {
        while sent(&server) < 3 {
            yield_now().await;
        }
        let other = Client::new(2);
        let signed = other.sign(&other.receipt(snapshot, None, first(&needed)));
        let body = other.request(&signed);
        let answer = server.as_appender().ask("POST", RECEIPTS, Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let ended = database.write(&mut |transaction| {
            coming::end(transaction, 1, ATTEMPT).map(|is_ended| assert!(is_ended))
        });
        ended.unwrap();
    };
    let (one, other, ()) = tokio::join!(send(&next), send(&next), others);
    assert_eq!((one.status, other.status), (200, 200), "{one:?}");
}

#[tokio::test]
async fn each_right_may_what_it_may() {
    let server = Server::start().await;
    let (snapshot, files) = fill(&server);
    let needed = needs(&files, b"the config");
    for (right, sends, reads) in [
        (Right::Append, 200, 200),
        (Right::Maintain, 200, 200),
        (Right::Report, 200, 403),
        (Right::Read, 403, 200),
    ] {
        let caller = server.as_machine(right);
        let client = Client::new(7);
        let signed = client.sign(&client.receipt(snapshot, None, first(&needed)));
        let body = client.request(&signed);
        let sent = caller.ask("POST", RECEIPTS, Some(body)).await;
        assert_eq!(sent.status, sends, "{right}");
        assert_eq!(caller.get(SNAPSHOTS).await.status, reads, "{right}");
        let repository = caller.get("/v1/repositories/acme/repos").await;
        assert_eq!(repository.status, reads, "{right}");
    }
    let elsewhere = server.token(Right::Maintain, "other");
    let caller = server.as_bearer(&elsewhere);
    assert_eq!(caller.get(SNAPSHOTS).await.status, 403);
    assert_eq!(caller.get("/v1/repositories/other/none").await.status, 404);
    // No machine administers.
    let machine = server.as_machine(Right::Maintain);
    assert_eq!(machine.get("/v1/tokens").await.status, 401);
}

#[tokio::test]
async fn whoever_reads_learns_when_each_snapshot_came_a_page_at_a_time() {
    const ARRIVALS: &str = "/v1/repositories/acme/repos/arrivals";
    let server = Server::start().await;
    let (first, _) = fill(&server);
    let scene = &server.scene;
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let began = server.as_reader().get(ARRIVALS).await;
    assert_eq!(began.status, 200);
    let arrived = began.body["arrivals"][0]["arrived"].clone();
    scene.pass(HOUR_MS);
    for number in 0..1_005_u32 {
        let content = number.to_le_bytes();
        scene.put(&append, FileType::Snapshots, &content).unwrap();
    }
    // What was removed is not told; and what came later came later.
    let vault = server.vault();
    let removed = scene.put(&append, FileType::Snapshots, b"gone").unwrap();
    vault.remove(&maintain, &repository(), removed).unwrap();
    for right in [Right::Append, Right::Read, Right::Maintain] {
        let caller = server.as_machine(right);
        let (mut told, mut query) = (Vec::new(), String::new());
        loop {
            let page = caller.get(&format!("{ARRIVALS}{query}")).await;
            assert_eq!(page.status, 200, "{right}");
            told.extend(page.body["arrivals"].as_array().unwrap().clone());
            match page.body["next"].as_str() {
                Some(next) => query = format!("?after={next}"),
                None => break,
            }
        }
        assert_eq!(told.len(), 1_006, "{right}");
        let time = |one: &Value| one["arrived"].as_str().unwrap().to_owned();
        let old: Vec<_> = told
            .iter()
            .filter(|one| one["arrived"] == arrived)
            .collect();
        assert_eq!(old.len(), 1, "{right}");
        assert_eq!(old[0]["snapshot"], first.id().unwrap().to_string());
        let later = told.iter().filter(|one| **one != *old[0]);
        assert!(later.clone().all(|one| time(one) > time(old[0])), "{right}");
        let gone = removed.id().unwrap().to_string();
        assert!(told.iter().all(|one| one["snapshot"] != gone), "{right}");
    }
    let reporter = server.as_reporter().get(ARRIVALS).await;
    assert_eq!(reporter.status, 403);
    let wrong = server.as_reader().get(&format!("{ARRIVALS}?after=x")).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_reader_sees_what_waits_in_a_repository() {
    let server = Server::start().await;
    let (_, files) = fill(&server);
    let scene = &server.scene;
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let key = scene.put(&append, FileType::Keys, &key_file(2)).unwrap();
    let vault = server.vault();
    vault.remove(&maintain, &repository(), files[1]).unwrap();
    scene.clocks.lock().wall_ms += 1_000_000_000;
    let answer = server.as_reader().get("/v1/repositories/acme/repos").await;
    assert_eq!(answer.status, 200);
    let id = key.id().unwrap().to_string();
    assert_eq!(answer.body["pending_keys"], json!([id]));
    assert_eq!(answer.body["tombstones"], 1);
    assert_eq!(answer.body["hidden"], 0);
    assert_eq!(answer.body["objects"], 6);
    assert_eq!(answer.body["retention_s"], 3 * 60 * 60);
    let unread = json!({"all_read": null, "objects_read": 0, "rotten": 0});
    assert_eq!(answer.body["scrub"], unread);
    let held = answer.body["purge_held"].as_str().unwrap();
    assert!(held.contains("clock"), "{held}");
}

#[tokio::test]
async fn a_reporter_with_hostile_bodies_gets_a_plain_no() {
    let server = Server::start().await;
    fill(&server);
    let caller = server.as_reporter();
    let nested = vec![b'['; 200_000];
    let long = format!("{{\"key\":\"{}\"}}", "A".repeat(600_000)).into_bytes();
    for bad in [
        b"".to_vec(),
        b"{}".to_vec(),
        b"\xff\xfe".to_vec(),
        b"{\"key\":1,\"receipt\":{}}".to_vec(),
        nested,
        long,
    ] {
        let answer = caller.ask("POST", RECEIPTS, Some(bad)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body["error"].as_str().unwrap().contains("refused"));
    }
    let typed = server.as_reporter().with("content-type", "text/plain");
    let answer = typed.ask("POST", RECEIPTS, Some(b"{}".to_vec())).await;
    assert_eq!(answer.status, 400);
    let length = (64 << 20) + 1;
    let huge = vec![b' '; length];
    let answer = caller.ask("POST", RECEIPTS, Some(huge)).await;
    assert_eq!(answer.status, 413);
    // Nothing of it lies around.
    let left: Vec<_> = std::fs::read_dir(server.scene.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_repository_that_was_called_v1_before_is_still_read() {
    let server = Server::start().await;
    let token = server.token(Right::Append, "acme");
    let answer = server
        .as_bearer(&token)
        .ask_freely("POST", "/v1/?create=true", None)
        .await;
    assert_eq!(answer.status, 404);
    let basic = data_encoding::BASE64.encode(format!("any:{token}").as_bytes());
    let caller = server
        .as_nobody()
        .with("authorization", &format!("Basic {basic}"));
    let answer = caller.ask_freely("GET", "/v1/data/", None).await;
    // It is asked for as a repository, which this token may not.
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.is_string());
}
