//! What administers a vault over HTTP.

use serde_json::{Value, json};
use strongroom_model::FileType;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS};
use strongroom_vault::rules::right::Right;

use super::server::Server;
use crate::signing::{Client, first, needs};
use crate::vault::scene::{START_MS, key_file, repository};

const REPOSITORY: &str = "/v1/repositories/acme/repos";

fn time(ms: i64) -> String {
    let time = strongroom_vault::records::leaves::timestamp(ms).unwrap();
    time.to_string()
}

#[tokio::test]
async fn only_the_administrator_on_this_machine_gets_in() {
    let server = Server::start().await;
    let right = server.as_administrator();
    assert_eq!(right.get("/v1/tokens").await.status, 200);
    for header in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
        let proxied = server.as_administrator().with(header, "192.0.2.1");
        assert_eq!(proxied.get("/v1/tokens").await.status, 403, "{header}");
    }
    let half = &server.admin_token[..20];
    let machine = server.token(Right::Maintain, "acme");
    let basic = data_encoding::BASE64.encode(format!("a:{}", server.admin_token).as_bytes());
    for wrong in ["", half, &machine, &format!("{}x", server.admin_token)] {
        let caller = server.as_bearer(wrong);
        assert_eq!(caller.get("/v1/doctor").await.status, 401, "{wrong:?}");
    }
    let caller = server
        .as_nobody()
        .with("authorization", &format!("Basic {basic}"));
    let refused = caller.get("/v1/doctor").await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.headers["www-authenticate"],
        "Bearer realm=\"Strongroom\""
    );
    // Wrong ones count as failed logins, and the right one is not kept out.
    let guess = server.as_bearer("guess");
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(guess.get("/v1/tokens").await.status);
    }
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(right.get("/v1/tokens").await.status, 200);
}

#[tokio::test]
async fn a_token_lives_from_its_making_to_its_end() {
    let server = Server::start().await;
    let admin = server.as_administrator();
    let wanted = json!({
        "repository": "acme/repos", "right": "append", "expires": "90d", "daily_objects": 9,
    });
    let made = admin.post("/v1/tokens", wanted).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.headers["cache-control"], "no-store");
    let (name, text) = (&made.body["name"], made.body["token"].as_str().unwrap());
    let name = name.as_str().unwrap();
    let principal = server.vault().authenticate(text).unwrap();
    assert_eq!(principal.right, Right::Append);
    let list = admin.get("/v1/tokens").await;
    let told = &list.body["tokens"][0];
    assert_eq!(told["name"], name);
    assert_eq!(told["daily_objects"], 9);
    assert_eq!(told["revoked"], Value::Null);
    assert!(!list.body.to_string().contains(text));

    // A client's key is bound, and let go of.
    let scene = &server.scene;
    let key = scene.init(&principal);
    let snapshot = scene
        .put(&principal, FileType::Snapshots, b"a snapshot")
        .unwrap();
    let client = Client::new(1);
    let receipt = client.receipt(snapshot, None, first(&needs(&[key], b"the config")));
    client.send(scene, &principal, &receipt).unwrap();
    let bound = admin.get("/v1/tokens").await.body["tokens"][0]["client"].clone();
    assert_eq!(bound, client.id().to_string());
    let path = format!("/v1/tokens/{name}/forget-client-key");
    let forgotten = admin.post(&path, json!({})).await;
    assert_eq!(forgotten.body["client"], Value::Null);

    // What it has put is hidden and shown again.
    let path = format!("/v1/tokens/{name}/hide");
    let hidden = admin.post(&path, json!({ "since": time(START_MS) })).await;
    let told = json!({ "objects": 3, "others": 0, "found": true });
    assert_eq!((hidden.status, hidden.body), (200, told.clone()));
    let path = format!("/v1/tokens/{name}/unhide");
    let shown = admin.ask("POST", &path, None).await;
    assert_eq!((shown.status, shown.body), (200, told));
    let again = admin.ask("POST", &path, None).await;
    let nothing = json!({ "objects": 0, "others": 0, "found": false });
    assert_eq!((again.status, again.body), (200, nothing));
    let path = format!("/v1/tokens/{name}/day");
    let set = admin
        .post(&path, json!({ "daily_objects": 7_000_000 }))
        .await;
    assert_eq!(set.body["daily_objects"], 7_000_000, "{set:?}");
    let set = admin.post(&path, json!({ "daily_bytes": 1_000 })).await;
    assert_eq!(set.body["daily_objects"], 7_000_000, "{set:?}");
    assert_eq!(set.body["daily_bytes"], 1_000);
    assert_eq!(admin.post(&path, json!({})).await.status, 400);
    let path = format!("/v1/tokens/{name}/revoke");
    let revoked = admin.post(&path, json!({})).await;
    assert_eq!(revoked.body["revoked"], time(server.vault().now().vault_ms));
    assert!(server.vault().authenticate(text).is_err());
    // What does not count any more is not said to do more, and no bound is larger than what is kept.
    let path = format!("/v1/tokens/{name}/day");
    let late = admin.post(&path, json!({ "daily_bytes": 1 })).await;
    assert_eq!(late.status, 400, "{late:?}");
    let said = late.body["error"].as_str().unwrap();
    assert!(said.contains("does not count any more"), "{said}");
    let large = json!({ "repository": "acme", "right": "append", "daily_bytes": u64::MAX });
    assert_eq!(admin.post("/v1/tokens", large).await.status, 400);
    let none = admin.post("/v1/tokens/none/day", json!({ "daily_bytes": 1 }));
    assert_eq!(none.await.status, 404);
    for action in ["revoke", "unhide", "forget-client-key", "purge"] {
        let path = format!("/v1/tokens/none/{action}");
        assert_eq!(admin.post(&path, json!({})).await.status, 404, "{action}");
    }
}

#[tokio::test]
async fn who_stops_says_that_the_rest_is_done_all_the_same() {
    let server = Server::start().await;
    let thief = server.scene.token(Right::Append);
    server.scene.init(&thief);
    let filled = server.vault().database().write(&mut |transaction| {
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) \
             INSERT INTO object (repository, kind, name, generation, bytes, state, token, put, \
             began, arrived_ms) \
             SELECT r.id, 2, randomblob(32), 1, 1, 0, 1, 1, 1, 0 FROM repository r, n";
        transaction.execute(fill, &[]).map(drop)
    });
    filled.unwrap();
    server.vault().end_jobs();
    let admin = server.as_administrator();
    let path = format!("/v1/tokens/{}/hide", thief.name);
    let stopped = admin.post(&path, json!({ "since": time(0) })).await;
    assert_eq!(stopped.status, 503, "{stopped:?}");
    assert!(stopped.headers.contains_key("retry-after"));
    let told = stopped.body["error"].as_str().unwrap();
    assert!(told.contains("5000 objects"), "{told}");
}

#[tokio::test]
async fn who_has_used_up_his_day_hears_until_when_and_it_can_be_raised() {
    let server = Server::start().await;
    let append = server.scene.token(Right::Append);
    server.scene.init(&append);
    let packs = [1_u8, 2].map(|number| {
        let pack = server.scene.put(&append, FileType::Data, &[number]);
        format!("/acme/repos/{}", pack.unwrap())
    });
    let admin = server.as_administrator();
    let wanted = json!({ "repository": "acme/repos", "right": "maintain", "daily_objects": 1 });
    let made = admin.post("/v1/tokens", wanted).await;
    let text = made.body["token"].as_str().unwrap();
    let basic = data_encoding::BASE64.encode(format!("any:{text}").as_bytes());
    let machine = server
        .as_nobody()
        .with("authorization", &format!("Basic {basic}"));
    let deleted = machine.ask_freely("DELETE", &packs[0], None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    let refused = machine.ask_freely("DELETE", &packs[1], None).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let pause = refused.headers["retry-after"].to_str().unwrap();
    assert!((1..=86_401).contains(&pause.parse::<u64>().unwrap()));
    // What is put is not sent again and again until then.
    let id = strongroom_model::Id::of(b"a pack");
    let path = format!("/acme/repos/data/{id}");
    let put = machine.ask_freely("POST", &path, Some(b"a pack".to_vec()));
    let refused = put.await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(!refused.headers.contains_key("retry-after"));
    let said = refused.body.as_str().unwrap();
    assert!(said.contains("it may again at"), "{said}");
    let path = format!("/v1/tokens/{}/day", made.body["name"].as_str().unwrap());
    let set = admin.post(&path, json!({ "daily_objects": 2 })).await;
    assert_eq!(set.status, 200, "{set:?}");
    let deleted = machine.ask_freely("DELETE", &packs[1], None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

#[tokio::test]
async fn protection_is_raised_and_never_lowered() {
    let server = Server::start().await;
    let append = server.scene.token(Right::Append);
    server.scene.init(&append);
    let admin = server.as_administrator();
    let keeping = format!("{REPOSITORY}/keeping");
    let raised = admin.post(&keeping, json!({ "retention": "60d" })).await;
    let expected = json!({ "retention_s": 60 * 86_400, "grace_s": 3 * 3_600 });
    assert_eq!((raised.status, &raised.body), (200, &expected));
    for lower in [json!({ "retention": "59d" }), json!({ "grace": "1h" })] {
        let refused = admin.post(&keeping, lower).await;
        assert_eq!(refused.status, 403);
        let why = refused.body["error"].as_str().unwrap();
        assert!(why.contains("approval of others"), "{why}");
    }
    let refused = admin.ask("DELETE", REPOSITORY, None).await;
    assert_eq!(refused.status, 403);
    let why = refused.body["error"].as_str().unwrap();
    assert!(why.contains("approval of several people"), "{why}");
    let quota = format!("{REPOSITORY}/quota");
    for bytes in [json!(123), json!(null)] {
        let set = admin.post(&quota, json!({ "bytes": bytes })).await;
        assert_eq!((set.status, &set.body["quota_bytes"]), (200, &bytes));
        let list = admin.get("/v1/repositories").await;
        assert_eq!(list.body["repositories"][0]["quota_bytes"], bytes);
    }
    assert_eq!(admin.post(&quota, json!({})).await.status, 400);
    let nowhere = "/v1/repositories/acme/none/keeping";
    assert_eq!(admin.post(nowhere, json!({})).await.status, 404);
}

#[tokio::test]
async fn deletions_are_taken_back_one_by_one_by_token_and_by_time() {
    let server = Server::start().await;
    let scene = &server.scene;
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    let other = scene.token(Right::Maintain);
    scene.init(&append);
    let packs = scene.put_packs(&append, 4, 50);
    let remove = |who, pack| server.vault().remove(who, &repository(), pack).unwrap();
    remove(&maintain, packs[0]);
    remove(&maintain, packs[1]);
    remove(&other, packs[2]);
    scene.pass(2 * MINUTE_MS);
    let late_ms = server.vault().now().recorded_ms;
    remove(&maintain, packs[3]);
    let admin = server.as_administrator();
    let undelete = format!("{REPOSITORY}/undelete");
    for (chosen, expected) in [
        (json!({ "file": packs[0].to_string() }), 1),
        (json!({ "file": packs[0].to_string() }), 0),
        (json!({ "token": other.name }), 1),
        (json!({ "since": time(late_ms) }), 1),
        (json!({}), 1),
        (json!({}), 0),
    ] {
        let told = chosen.to_string();
        let answer = admin.post(&undelete, chosen).await;
        let objects = &answer.body["objects"];
        assert_eq!((answer.status, objects), (200, &json!(expected)), "{told}");
    }
    for (bad, status) in [
        (json!({ "file": "data/../x" }), 400),
        (json!({ "file": packs[0].to_string(), "token": "x" }), 400),
        (json!({ "files": [] }), 400),
        (json!({ "since": "yesterday" }), 400),
        (json!([]), 400),
        (json!({ "token": "nobody" }), 404),
    ] {
        let told = bad.to_string();
        assert_eq!(admin.post(&undelete, bad).await.status, status, "{told}");
    }
}

#[tokio::test]
async fn what_the_doctor_finds_is_mended_over_http() {
    let server = Server::start().await;
    let scene = &server.scene;
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let key = scene.put(&append, FileType::Keys, &key_file(2)).unwrap();
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let snapshot = scene
        .put(&append, FileType::Snapshots, b"a snapshot")
        .unwrap();
    let client = Client::new(1);
    let receipt = client.receipt(snapshot, None, first(&needs(&[pack], b"the config")));
    client.send(scene, &append, &receipt).unwrap();
    server
        .vault()
        .remove(&maintain, &repository(), pack)
        .unwrap();
    scene.clocks.lock().wall_ms += 1_000_000_000;
    server.vault().tick().unwrap();
    let admin = server.as_administrator();
    let found = admin.get("/v1/doctor").await;
    // The last of them is that nobody has acknowledged that purging is held.
    let checks = found.body["findings"].as_array();
    assert_eq!(checks.map(Vec::len), Some(5), "{checks:?}");
    assert_eq!(checks.unwrap()[4]["check"], "notify");
    let seen = server.vault().acknowledge_all_notices(None);
    assert_eq!(seen.unwrap(), 1);
    // A leap of days is not believed without a word; it is put right, and then it is none.
    let refused = admin.post("/v1/clock/confirm", json!({})).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let why = refused.body["error"].as_str().unwrap();
    let wall = time(scene.clocks.lock().wall_ms);
    assert!(why.contains(&wall), "{why}");
    let wrong = json!({ "wall": time(START_MS) });
    assert_eq!(admin.post("/v1/clock/confirm", wrong).await.status, 403);
    scene.clocks.lock().wall_ms -= 1_000_000_000;
    let clock = admin.post("/v1/clock/confirm", json!({})).await;
    assert_eq!(clock.body["doubted"], false, "{clock:?}");
    let more = admin
        .post("/v1/clock/confirm", json!({ "catch_up": "1h" }))
        .await;
    assert_eq!(more.status, 403, "it was never off: {more:?}");
    let id = key.id().unwrap();
    let admit = format!("{REPOSITORY}/keys/{id}/admit");
    let admitted = admin.post(&admit, json!({})).await;
    assert_eq!(admitted.body, json!({ "admitted": id }));
    assert_eq!(admin.post(&admit, json!({})).await.status, 404);
    let agree = format!("{REPOSITORY}/agree-to-purge");
    assert_eq!(admin.post(&agree, json!({})).await.status, 400);
    for unseen in [
        json!({ "tombstones": 0 }),
        json!({ "tombstones": 1 }),
        json!({ "tombstones": u64::MAX, "newest_tombstone": u64::MAX }),
    ] {
        let refused = admin.post(&agree, unseen).await;
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    let all = admin.get("/v1/repositories").await;
    let newest = &all.body["repositories"][0]["newest_tombstone"];
    let hint = found.body["findings"].to_string();
    assert!(
        hint.contains(&format!("--newest-tombstone {newest}")),
        "{hint}"
    );
    let seen = json!({ "tombstones": 1, "newest_tombstone": newest });
    for agreed in [true, false] {
        let answer = admin.post(&agree, seen.clone()).await;
        assert_eq!(answer.body, json!({ "agreed": agreed }));
    }
    let undelete = format!("{REPOSITORY}/undelete");
    assert_eq!(admin.post(&undelete, json!({})).await.status, 200);
    let found = admin.get("/v1/doctor").await;
    assert_eq!(found.body, json!({ "findings": [] }));
}

#[tokio::test]
async fn a_token_that_has_ended_by_vault_time_is_told_as_such() {
    let server = Server::start().await;
    let admin = server.as_administrator();
    let wanted = json!({ "repository": "acme", "right": "read", "expires": "1h" });
    admin.post("/v1/tokens", wanted).await;
    let state = || async { admin.get("/v1/tokens").await.body["tokens"][0]["state"].clone() };
    assert_eq!(state().await, "counts");
    // The wall clock alone ends nothing.
    server.scene.clocks.lock().wall_ms += 2 * HOUR_MS;
    server.vault().tick().unwrap();
    assert_eq!(state().await, "counts");
    server.scene.pass(2 * HOUR_MS);
    assert_eq!(state().await, "expired");
}

#[tokio::test]
async fn what_the_api_refuses_is_in_the_log() {
    let server = Server::start().await;
    let scene = &server.scene;
    let append = scene.token(Right::Append);
    scene.init(&append);
    let admin = server.as_administrator();
    let lower = json!({ "retention": "1s" });
    let keeping = format!("{REPOSITORY}/keeping");
    assert_eq!(admin.post(&keeping, lower).await.status, 403);
    assert_eq!(
        server.as_bearer("guess").get("/v1/tokens").await.status,
        401
    );
    let proxied = server.as_administrator().with("via", "proxy");
    assert_eq!(proxied.get("/v1/tokens").await.status, 403);
    // What a revoked token has put stays until its time, whoever asks.
    server
        .vault()
        .revoke_token(Who::Folder, &append.name)
        .unwrap();
    let purge = format!("/v1/tokens/{}/purge", append.name);
    let refused = admin.post(&purge, json!({})).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let why = refused.body["error"].as_str().unwrap();
    assert!(why.contains(&append.name) && why.contains("approval of several people"));
    let reader = scene.token(Right::Read);
    assert_eq!(scene.list(&reader, View::Now, FileType::Keys).len(), 1);
    let elsewhere = server.token(Right::Read, "other");
    let refused = server.as_bearer(&elsewhere).get(REPOSITORY).await;
    assert_eq!(refused.status, 403);
    assert_eq!(server.as_nobody().get("/v1/vault").await.status, 401);
    server.vault().tell_refusals(true).unwrap();
    let told = |reason: &str| {
        let leaves = scene.acts("refusal").into_iter();
        let told = leaves.filter(|leaf| leaf["reason"] == reason);
        told.map(|leaf| leaf["before"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(told("needs-approval"), [1]);
    assert_eq!(told("administrator"), [1]);
    assert_eq!(told("forbidden"), [0]);
    assert_eq!(told("unknown-token"), [0]);
    for leaf in scene.acts("refusal") {
        let is_of_repository = matches!(
            leaf["reason"].as_str(),
            Some("needs-approval" | "forbidden")
        );
        let expected = is_of_repository.then_some("acme/repos");
        assert_eq!(leaf["repository"].as_str(), expected, "{leaf}");
    }
    let counted: u64 = server.vault().refusals().map(|(_, count)| count).sum();
    assert_eq!(counted, 6);
}

#[tokio::test]
async fn odd_requests_are_refused() {
    let server = Server::start().await;
    let admin = server.as_administrator();
    for bad in [
        json!({}),
        json!({ "repository": "acme", "right": "rule" }),
        json!({ "repository": "v1/x", "right": "read" }),
        json!({ "repository": "../x", "right": "read" }),
        json!({ "repository": "acme", "right": "read", "expires": "soon" }),
        json!({ "repository": "acme", "right": "read", "more": 1 }),
        json!({ "repository": "acme", "right": "read", "daily_bytes": -1 }),
        json!("x"),
    ] {
        let told = bad.to_string();
        assert_eq!(admin.post("/v1/tokens", bad).await.status, 400, "{told}");
    }
    let deep = vec![b'['; 60_000];
    assert_eq!(
        admin.ask("POST", "/v1/tokens", Some(deep)).await.status,
        400
    );
    let long = vec![b' '; (64 << 10) + 1];
    assert_eq!(
        admin.ask("POST", "/v1/tokens", Some(long)).await.status,
        413
    );
    assert!(server.vault().tokens().unwrap().is_empty());
}
