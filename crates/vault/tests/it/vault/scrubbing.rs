//! Rot is found in time, told, and healed by whoever has sound bytes.

use std::fs;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_model::{FileName, FileType};
use strongroom_testkit::{Fault, Op, Rule};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::records::objects::View;
use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};
use strongroom_vault::rules::notices::Kind;
use strongroom_vault::rules::right::Right;
use strongroom_vault::rules::scrub::Why;
use strongroom_vault::vault::{Demands, Principal, Scrubbed};

use super::asked::AskedBodies;
use super::scene::{Scene, faulty, on_sqlite, repository, within};

/// All is read within this time, which makes rounds of four hours.
const EVERY_MS: i64 = 5 * HOUR_MS;

/// Lets time pass, and scrubs every ten minutes; 24 times are a round.
fn scrub_for(scene: &Scene, times: i64) -> Scrubbed {
    let mut total = Scrubbed::default();
    for _ in 0..times {
        scene.pass(10 * MINUTE_MS);
        let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
        total.read.objects += scrubbed.read.objects;
        total.read.bytes += scrubbed.read.bytes;
        total.rotten += scrubbed.rotten;
        total.rounds += scrubbed.rounds;
    }
    total
}

#[test]
pub(crate) fn what_is_rotten_is_told_in_pages_and_named_by_the_doctor() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    // No receipt names any of them.
    let packs = scene.put_packs(&append, 13, 60);
    for pack in &packs {
        scene.damage(*pack, |bytes| bytes[7] ^= 1);
    }
    scrub_for(&scene, 26);
    let all = rotten(&scene);
    assert_eq!(all.len(), 13);
    // The first one alone.
    let told = scene.vault.notices(None).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].notice.kind, told[0].repeated), (Kind::Rotten, 0));
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = scene.vault.rotten(&repository(), after, 5).unwrap();
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(*last);
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let findings = scene.vault.findings(Demands {
        verify_every_ms: 24 * HOUR_MS,
        behind_ms: None,
        channels: None,
    });
    let findings = findings.unwrap();
    let [rot] = findings
        .iter()
        .filter(|finding| finding.check == "rot")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{findings:?}");
    };
    assert!(rot.is_broken);
    assert!(rot.problem.starts_with("13 objects"), "{}", rot.problem);
    for (name, _) in &all[..10] {
        assert!(rot.problem.contains(&name.to_string()), "{}", rot.problem);
    }
    assert!(
        !rot.problem.contains(&all[10].0.to_string()),
        "{}",
        rot.problem
    );
    let elsewhere = scene.token_for(Right::Append, "other");
    let refused = scene.vault.rotten_for(&elsewhere, &repository(), None, 5);
    assert!(
        matches!(refused, Err(Error::Forbidden { .. })),
        "{refused:?}"
    );
}

#[test]
pub(crate) fn a_sample_of_bodies_begins_where_it_is_told_and_wraps_round() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let mut packs: Vec<FileName> = (0..9_u8)
        .map(|number| scene.put(&append, FileType::Data, &[number; 60]).unwrap())
        .collect();
    packs.sort_by_key(|pack| pack.id());
    scene.lose(packs[8]);
    let wrong = |most, start: FileName| {
        let checked = scene.vault.check_bodies(most, start.id().unwrap()).unwrap();
        (checked.objects, checked.wrong)
    };
    assert_eq!(wrong(3, packs[0]), (3, 0));
    assert_eq!(wrong(3, packs[5]), (3, 1));
    // Behind the last pack comes the first object again; nothing is looked at twice.
    assert_eq!(wrong(9, packs[8]), (9, 0));
    assert_eq!(wrong(100, packs[4]), (11, 1));
}

fn rotten(scene: &Scene) -> Vec<(FileName, Why)> {
    scene.vault.rotten(&repository(), None, 100).unwrap()
}

#[test]
pub(crate) fn whatever_happens_to_bytes_is_found_told_and_healed_by_putting_them_again() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let contents: Vec<Vec<u8>> = (0..6_u8).map(|number| vec![number; 1_000]).collect();
    let packs: Vec<FileName> = contents
        .iter()
        .map(|content| scene.put(&append, FileType::Data, content).unwrap())
        .collect();
    scene.damage(packs[0], |bytes| bytes[500] ^= 1);
    scene.damage(packs[1], |bytes| bytes.truncate(999));
    scene.damage(packs[2], |bytes| bytes.push(0));
    scene.damage(packs[3], Vec::clear);
    scene.lose(packs[4]);
    let total = scrub_for(&scene, 26);
    assert_eq!((total.rotten, total.rounds), (5, 1));
    assert_eq!(total.read.objects, 8);
    let mut expected: Vec<_> = (0..4).map(|pack| (packs[pack], Why::Changed)).collect();
    expected.push((packs[4], Why::Missing));
    expected.sort_by_key(|(name, _)| *name);
    assert_eq!(rotten(&scene), expected);
    let leaves = scene.acts("rotten");
    assert_eq!(leaves.len(), 5);
    let missing = leaves.iter().find(|leaf| leaf["why"] == "missing").unwrap();
    assert_eq!(missing["file"], packs[4].to_string());
    assert_eq!(missing["repository"], "acme/repos");
    let round = &scene.acts("scrubbed")[0];
    assert_eq!(round["objects"], 8);
    assert_eq!(round["rotten"], 5);
    assert_eq!(
        scene.vault.observe().unwrap().repositories[0].scrub.rotten,
        5
    );

    // Another round finds nothing new, and tells nothing twice.
    assert_eq!(scrub_for(&scene, 26).rotten, 0);
    assert_eq!(scene.acts("rotten").len(), 5);

    for (pack, content) in packs.iter().zip(&contents) {
        scene.put_as(&append, *pack, content).unwrap();
        assert_eq!(scene.read(&append, View::Now, *pack).unwrap(), *content);
    }
    assert_eq!(rotten(&scene), []);
    assert_eq!(scene.acts("healed").len(), 5);
    assert_eq!(scene.vault.overviews().unwrap()[0].scrub.rotten, 0);
    let total = scrub_for(&scene, 26);
    assert_eq!((total.rotten, total.rounds), (0, 1));
    let last = scene.acts("scrubbed").pop().unwrap();
    assert_eq!(last["rotten"], 0);
}

#[test]
pub(crate) fn bytes_that_were_put_back_by_hand_lose_their_mark_in_the_next_round() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    let kept = scene.lies(pack).unwrap();
    scene.lose(pack);
    scrub_for(&scene, 26);
    assert_eq!(rotten(&scene), [(pack, Why::Missing)]);
    scene.lay(pack, &kept);
    scrub_for(&scene, 26);
    assert_eq!(rotten(&scene), []);
    assert_eq!(scene.acts("healed").len(), 1);
}

#[test]
pub(crate) fn what_is_deleted_hidden_or_pending_must_be_restorable_and_is_read_too() {
    let scene = Scene::new();
    let (append, thief) = (scene.token(Right::Append), scene.token(Right::Append));
    let maintain = scene.token(Right::Maintain);
    scene.init(&append);
    let deleted = scene.put(&append, FileType::Data, b"deleted").unwrap();
    let hidden = scene.put(&thief, FileType::Index, b"hidden").unwrap();
    let key = super::scene::key_file(7);
    let pending = scene.put(&append, FileType::Keys, &key).unwrap();
    scene
        .vault
        .remove(&maintain, &repository(), deleted)
        .unwrap();
    scene.vault.hide(Who::Folder, &thief.name, 0).unwrap();
    for name in [deleted, hidden, pending] {
        scene.damage(name, |bytes| bytes[0] ^= 1);
    }
    assert_eq!(scrub_for(&scene, 26).rotten, 3);
    // Whoever deletes and puts again gets sound bytes.
    scene.put_as(&append, deleted, b"deleted").unwrap();
    let read = scene.read(&append, View::Now, deleted).unwrap();
    assert_eq!(read, b"deleted");
    assert_eq!(rotten(&scene).len(), 2);
}

#[test]
pub(crate) fn a_mark_goes_with_the_object_and_a_later_one_of_the_name_is_sound() {
    let scene = Scene::new();
    let (append, maintain) = (scene.token(Right::Append), scene.token(Right::Maintain));
    scene.init(&append);
    let packs = scene.put_packs(&append, 40, 50);
    scene.damage(packs[0], |bytes| bytes[0] ^= 1);
    scrub_for(&scene, 26);
    assert_eq!(rotten(&scene), [(packs[0], Why::Changed)]);
    scene
        .vault
        .remove(&maintain, &repository(), packs[0])
        .unwrap();
    scene.pass(4 * HOUR_MS);
    scene.vault.purge().unwrap();
    assert_eq!(rotten(&scene), []);
    scene.put_as(&append, packs[0], &[0; 50]).unwrap();
    assert_eq!(scrub_for(&scene, 50).rotten, 0);
}

#[test]
pub(crate) fn a_config_that_rots_on_the_disk_is_healed_from_the_database() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let lies = || scene.lies(FileName::CONFIG).unwrap();
    scene.damage(FileName::CONFIG, |bytes| bytes[0] ^= 1);
    assert_eq!(scrub_for(&scene, 26).rotten, 1);
    assert_eq!(lies(), b"the config");
    assert_eq!(scene.acts("rotten")[0]["file"], "config");
    assert_eq!(scene.acts("healed")[0]["file"], "config");
    assert_eq!(rotten(&scene), []);
    // And by whoever puts the same again, as after an answer that was lost.
    scene.lose(FileName::CONFIG);
    scene
        .put_as(&append, FileName::CONFIG, b"the config")
        .unwrap();
    assert_eq!(lies(), b"the config");
}

#[test]
fn a_round_goes_on_behind_a_restart_and_what_comes_later_is_for_the_next_one() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let count = 40_u8;
    for number in 0..count {
        scene.put(&append, FileType::Data, &[number; 50]).unwrap();
    }
    let first = scrub_for(&scene, 12);
    assert!((10..35).contains(&first.read.objects), "{first:?}");
    let scene = scene.reopened();
    for number in 0..count {
        scene.put(&append, FileType::Data, &[number; 60]).unwrap();
    }
    let second = scrub_for(&scene, 14);
    assert_eq!(second.rounds, 1);
    let all = u64::from(count) + 2;
    let last_read = || {
        let overviews = scene.vault.overviews().unwrap();
        overviews[0].scrub.last.unwrap().read.objects
    };
    // What came later is in it where it lies before its place, and not all of it does.
    let read = last_read();
    assert!((all..all + u64::from(count)).contains(&read), "{read}");
    assert!(read <= first.read.objects + second.read.objects);
    scrub_for(&scene, 26);
    assert_eq!(last_read(), all + u64::from(count));
}

#[test]
pub(crate) fn whoever_stops_it_loses_nothing_that_was_read() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    for number in 0..10_u8 {
        scene.put(&append, FileType::Data, &[number; 50]).unwrap();
    }
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    scene.pass(5 * HOUR_MS);
    let mut left = 5;
    let stopped = scene.vault.scrub(EVERY_MS, &mut |_| {
        left -= 1;
        left >= 0
    });
    let stopped = stopped.unwrap();
    assert!(stopped.is_ended);
    assert_eq!(stopped.read.objects, 5);
    let scene = scene.reopened();
    let rest = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    assert_eq!((rest.read.objects, rest.rounds), (7, 1));
}

#[test]
fn a_storage_that_is_away_is_no_rot() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    scene.pass(5 * HOUR_MS);
    // A vault that was just opened holds no folder open.
    let scene = scene.reopened();
    let (storage, away) = (
        scene.folder.path().join("repositories"),
        scene.folder.path().join("away"),
    );
    fs::rename(&storage, &away).unwrap();
    let failed = scene.vault.scrub(EVERY_MS, &mut |_| true);
    assert!(matches!(failed, Err(Error::Storage(_))), "{failed:?}");
    fs::rename(&away, &storage).unwrap();
    assert_eq!(rotten(&scene), []);
    let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    assert_eq!((scrubbed.read.objects, scrubbed.rotten), (3, 0));
    assert_eq!(scene.read(&append, View::Now, pack).unwrap(), b"a pack");
}

/// Begins a round, and reads all of it at once when its time is over.
fn scrub_at_once(scene: &Scene) -> strongroom_vault::Result<Scrubbed> {
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    scene.pass(5 * HOUR_MS);
    scene.vault.scrub(EVERY_MS, &mut |_| true)
}

/// Twenty packs of a repository, in the order in which they are read.
fn twenty(scene: &Scene) -> (Principal, Vec<FileName>) {
    let append = scene.token(Right::Append);
    scene.init(&append);
    let mut packs: Vec<_> = (0..20_u8)
        .map(|number| scene.put(&append, FileType::Data, &[number; 50]).unwrap())
        .collect();
    packs.sort();
    (append, packs)
}

#[test]
fn many_unreadable_objects_are_rot_where_the_storage_is_not_away() {
    let (scene, bodies) = faulty();
    let (_, packs) = twenty(&scene);
    for pack in &packs[..9] {
        let rule = Rule::on(&[Op::Open], Fault::Denied).named(*pack);
        bodies.rules().add(rule);
    }
    scene.damage(packs[19], |bytes| bytes[0] ^= 1);
    let scrubbed = scrub_at_once(&scene).unwrap();
    assert_eq!((scrubbed.rotten, scrubbed.rounds), (10, 1));
    let expected: Vec<_> = packs[..9]
        .iter()
        .map(|pack| (*pack, Why::Unreadable))
        .chain([(packs[19], Why::Changed)])
        .collect();
    assert_eq!(rotten(&scene), expected);
    bodies.rules().heal();
    scrub_at_once(&scene).unwrap();
    assert_eq!(rotten(&scene), [(packs[19], Why::Changed)]);
}

#[test]
fn a_repository_none_of_which_can_be_read_is_rot_where_another_can_be() {
    let (scene, bodies) = faulty();
    let (_, packs) = twenty(&scene);
    let other = scene.token_for(Right::Append, "elsewhere");
    let path = "elsewhere".parse().unwrap();
    scene.vault.create(&other, &path).unwrap();
    let mut upload = scene
        .vault
        .begin_put(&other, &path, FileName::CONFIG, None)
        .unwrap();
    upload.write(b"another config").unwrap();
    upload.finish().unwrap();
    let denied = |rule: Rule| bodies.rules().add(rule);
    for name in &packs {
        denied(Rule::on(&[Op::Open], Fault::Denied).named(*name));
    }
    denied(Rule::on(&[Op::Open], Fault::Denied).of(FileType::Keys));
    // Of the two with this name that of the first repository: when it is read, and when it is asked
    // whether anything can be.
    let config = Rule::on(&[Op::Open], Fault::Denied).named(FileName::CONFIG);
    denied(config.times(2));
    assert_eq!(scrub_at_once(&scene).unwrap().rotten, 22);
    assert_eq!(rotten(&scene).len(), 21, "the config is healed");
}

#[test]
fn where_nothing_at_all_can_be_read_that_is_no_rot_until_it_has_lasted() {
    let (scene, bodies) = faulty();
    let (append, packs) = twenty(&scene);
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    bodies.rules().add(Rule::on(&[Op::Open], Fault::Denied));
    scene.pass(5 * HOUR_MS);
    for _ in 0..6 {
        let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true);
        assert!(
            matches!(scrubbed, Err(Error::Refused { .. })),
            "{scrubbed:?}"
        );
        assert_eq!(rotten(&scene), []);
        scene.pass(10 * MINUTE_MS);
    }
    // It takes bytes and has given none for an hour: somebody must see that.
    let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    assert_eq!((scrubbed.rotten, scrubbed.rounds), (22, 1));
    bodies.rules().heal();
    scrub_at_once(&scene).unwrap();
    assert_eq!(rotten(&scene), []);
    assert_eq!(scene.list(&append, View::Now, FileType::Data), packs);
}

#[test]
fn what_cannot_be_read_is_no_rot_while_nothing_can_be_however_little_is_looked_at() {
    let (scene, bodies) = faulty();
    twenty(&scene);
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    bodies.rules().add(Rule::on(&[Op::Open], Fault::Denied));
    // A round of four hours over 22 objects: each time another one is due.
    for _ in 0..5 {
        scene.pass(11 * MINUTE_MS);
        let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true);
        assert!(
            matches!(scrubbed, Err(Error::Refused { .. })),
            "{scrubbed:?}"
        );
        assert_eq!(rotten(&scene), []);
    }
    assert_eq!(scene.acts("rotten").len(), 0);
    bodies.rules().heal();
    scene.pass(5 * HOUR_MS);
    let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    assert_eq!((scrubbed.read.objects, scrubbed.rotten), (22, 0));
}

#[test]
fn a_storage_that_is_away_a_second_time_is_no_rot_because_of_the_first_time() {
    let (scene, bodies) = faulty();
    twenty(&scene);
    for _ in 0..2 {
        scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
        scene.pass(5 * HOUR_MS);
        bodies.rules().add(Rule::on(&[Op::Open], Fault::Denied));
        let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true);
        assert!(
            matches!(scrubbed, Err(Error::Refused { .. })),
            "{scrubbed:?}"
        );
        assert_eq!(rotten(&scene), []);
        bodies.rules().heal();
        let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
        assert_eq!((scrubbed.rotten, scrubbed.rounds), (0, 1));
    }
}

#[test]
fn whoever_stops_it_at_what_cannot_be_read_has_it_marked_only_when_others_were_read() {
    let (scene, bodies) = faulty();
    let (_, packs) = twenty(&scene);
    for pack in &packs[..3] {
        let rule = Rule::on(&[Op::Open], Fault::Denied).named(*pack);
        bodies.rules().add(rule);
    }
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    scene.pass(5 * HOUR_MS);
    // It ends while the first pack is read that can be.
    let stopped = scene.vault.scrub(EVERY_MS, &mut |bytes| bytes != 50);
    assert!(stopped.unwrap().is_ended);
    assert_eq!(rotten(&scene), []);
    let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    assert_eq!((scrubbed.rotten, scrubbed.rounds), (3, 1));
}

#[test]
pub(crate) fn an_object_that_is_healed_while_it_is_read_keeps_no_mark() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"a pack").unwrap();
    scene.damage(pack, |bytes| bytes[0] ^= 1);
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    scene.pass(5 * HOUR_MS);
    let mut is_healed = false;
    let scrubbed = scene.vault.scrub(EVERY_MS, &mut |bytes| {
        // It has read the rotten bytes; now sound ones come, before it has told anybody.
        if bytes == 6 && !is_healed {
            is_healed = true;
            scene.put_as(&append, pack, b"a pack").unwrap();
        }
        true
    });
    assert_eq!(scrubbed.unwrap().rotten, 1);
    assert!(is_healed);
    assert_eq!(rotten(&scene), []);
}

#[test]
fn bodies_are_read_from_where_they_are_kept() {
    let proved = Arc::new(Mutex::new(Vec::<FileName>::new()));
    let asked = Arc::clone(&proved);
    let pair = on_sqlite(move |folder| {
        let asked = Arc::clone(&asked);
        Arc::new(AskedBodies {
            before_proof: Box::new(move |body| asked.lock().push(body.name)),
            ..AskedBodies::new(folder)
        })
    });
    let scene = within(&pair, Scene::new);
    let append = scene.token(Right::Append);
    scene.init(&append);
    let pack = scene.put(&append, FileType::Data, b"bytes").unwrap();
    proved.lock().clear();
    scrub_for(&scene, 26);
    assert!(proved.lock().contains(&pack), "{:?}", proved.lock());
}

#[test]
fn reading_is_spread_over_the_round() {
    let scene = Scene::new();
    let append = scene.token(Right::Append);
    scene.init(&append);
    for number in 0..100_u8 {
        scene.put(&append, FileType::Data, &[number; 50]).unwrap();
    }
    scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
    let mut most = 0;
    for _ in 0..145 {
        scene.pass(100 * SECOND_MS);
        let scrubbed = scene.vault.scrub(EVERY_MS, &mut |_| true).unwrap();
        most = most.max(scrubbed.read.objects);
    }
    assert!(most <= 2, "{most}");
    assert_eq!(scene.acts("scrubbed").len(), 1);
}
