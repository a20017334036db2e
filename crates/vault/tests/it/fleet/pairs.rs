//! The acts of a vault on each pair of database and storage: the same tests as on SQLite and a
//! folder, which have theirs in `vault`.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use data_encoding::HEXLOWER;
use postgres::NoTls;
use sha2::{Digest, Sha256};
use strongroom_model::Secret;
use strongroom_store::Bodies;
use strongroom_testkit::PostgresServer;
use strongroom_vault::database::{Database, Postgres};
use strongroom_vault::publication::{LogFolder, Publisher};

use super::process::is_thorough;
use crate::people::{attacks as thieves, stories};
use crate::vault::scene::{Pair, Scene, local_bodies, within};
use crate::vault::{
    attacks, days, hiding, holds, life, model, moments, parts, receipts, rejecting, scrubbing,
};

/// How many tests are done at once on one server.
const AT_ONCE: usize = 3;

/// A database of its own on a server for each folder.
pub(super) fn database_of(server: &PostgresServer, folder: &Path) -> String {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let name = format!("vault_{}", &HEXLOWER.encode(&digest)[..16]);
    let mut client = postgres::Client::connect(&server.url(), NoTls).unwrap();
    let is_there = "SELECT 1 FROM pg_database WHERE datname = $1";
    if client.query(is_there, &[&name]).unwrap().is_empty() {
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
    }
    let url = server.url();
    let (address, _) = url.rsplit_once('/').unwrap();
    format!("{address}/{name}")
}

/// A PostgreSQL, and whatever storage.
pub(super) fn on_postgres(
    server: &Arc<PostgresServer>,
    bodies: impl Fn(&Path) -> Arc<dyn Bodies> + 'static,
) -> Pair {
    let server = Arc::clone(server);
    Rc::new(
        move |folder: &Path| -> (Arc<dyn Database>, Arc<dyn Bodies>) {
            let url = database_of(&server, folder);
            let database: Arc<dyn Database> =
                Arc::new(Postgres::open(&Secret::new(url), None).unwrap());
            (database, bodies(folder))
        },
    )
}

/// Does a test on SQLite, where two processes are a server and a command, and on PostgreSQL.
pub(super) fn on_both(test: fn()) {
    test();
    let server = Arc::new(PostgresServer::start());
    within(&on_postgres(&server, local_bodies), test);
}

/// Does tests at once, since they wait for their database and storage more than they work; each of
/// their scenes has its own.
pub(super) fn all_within(pair: &(dyn Fn() -> Pair + Sync), tests: &[fn()]) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let pair = pair();
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    within(&pair, test);
                }
            });
        }
    });
}

/// Whoever publishes the log of a scene into its folder.
pub(super) fn publisher(scene: &Scene) -> Publisher {
    let files = LogFolder::open(scene.folder.path().join("log")).unwrap();
    let keys = scene.folder.path().join("keys");
    Publisher::open(scene.vault.clone(), Arc::new(files), &keys).unwrap()
}

/// All that a vault does wherever it keeps what it has.
pub(super) const EVERYWHERE: &[fn()] = &[
    life::what_is_put_is_there_and_putting_it_again_is_the_same,
    life::records_are_kept_as_snapshots_are_and_no_record_is_lost_to_who_deletes_it,
    life::bytes_that_are_not_what_their_name_says_leave_nothing,
    life::an_upload_that_stops_leaves_nothing,
    life::a_post_that_began_before_a_deletion_does_not_take_it_back,
    life::a_key_that_comes_later_waits_for_an_operator,
    life::a_key_that_was_removed_waits_like_a_new_one,
    life::a_deletion_is_seen_by_none_and_undone_by_one_act,
    life::every_interval_of_a_life_is_seen_as_of_its_time,
    life::locks_stand_for_half_an_hour_and_their_own_token_or_maintain_removes_them,
    life::a_token_counts_until_it_expires_or_is_revoked,
    life::bytes_go_when_retention_and_grace_are_over_and_not_before,
    life::many_deletions_in_a_day_hold_the_purge_until_an_operator_agrees,
    life::keeping_is_only_ever_raised,
    attacks::junk_of_every_type_is_out_of_sight_by_one_act_and_was_never_in_the_view_before,
    attacks::what_somebody_else_has_put_as_well_is_not_hidden_with_the_thief,
    attacks::no_right_but_maintain_asks_for_deletion,
    attacks::a_clock_set_forward_ten_years_purges_nothing_and_freezes_purging,
    attacks::being_off_for_a_week_with_the_clock_moved_brings_no_purge_nearer,
    attacks::a_lost_answer_and_the_delete_after_it_lose_nothing,
    attacks::a_name_that_was_never_put_is_no_oracle,
    life::config_is_written_once,
    life::rotten_bytes_are_replaced_when_they_come_again,
    hiding::what_two_thieves_have_put_is_gone_when_both_are_hidden,
    hiding::what_was_put_before_the_time_stays_though_it_was_deleted_and_taken_back_since,
    hiding::what_was_deleted_and_put_again_by_a_thief_is_still_its_owners,
    hiding::what_a_hidden_token_put_stays_deleted_though_deletions_are_taken_back,
    hiding::what_is_hidden_goes_when_its_deletion_was_asked_for_and_its_time_has_come,
    hiding::a_key_that_waited_is_in_no_view_and_one_that_counted_stays_in_those_of_its_time,
    hiding::keys_are_what_they_were_before_they_were_hidden,
    hiding::a_config_that_was_hidden_is_not_said_to_be_there,
    hiding::a_config_that_has_no_body_gets_one_at_the_next_start,
    hiding::a_lock_is_kept_alive_by_its_own_token_alone,
    holds::what_was_swapped_after_the_look_is_not_agreed_to,
    holds::after_a_yes_what_is_deleted_on_the_same_day_holds_again,
    holds::a_tombstone_whose_leaf_was_not_noted_is_found_by_the_end_of_its_life,
    holds::rejected_keys_count_as_deletions,
    rejecting::a_key_that_waits_is_rejected_by_a_deletion_and_waits_again_when_that_is_taken_back,
    rejecting::a_rejected_key_is_taken_back_by_when_it_was_rejected_and_not_by_when_it_came,
    rejecting::a_key_that_was_removed_comes_back_by_a_post_only_as_one_that_waits,
    scrubbing::what_is_rotten_is_told_in_pages_and_named_by_the_doctor,
    scrubbing::a_sample_of_bodies_begins_where_it_is_told_and_wraps_round,
    scrubbing::whatever_happens_to_bytes_is_found_told_and_healed_by_putting_them_again,
    scrubbing::bytes_that_were_put_back_by_hand_lose_their_mark_in_the_next_round,
    scrubbing::what_is_deleted_hidden_or_pending_must_be_restorable_and_is_read_too,
    scrubbing::a_mark_goes_with_the_object_and_a_later_one_of_the_name_is_sound,
    scrubbing::a_config_that_rots_on_the_disk_is_healed_from_the_database,
    scrubbing::whoever_stops_it_loses_nothing_that_was_read,
    scrubbing::an_object_that_is_healed_while_it_is_read_keeps_no_mark,
    receipts::a_snapshot_is_whole_while_everything_is_here_that_its_receipt_names,
    receipts::what_comes_after_its_receipt_is_missing_until_it_comes,
    receipts::what_a_live_snapshots_receipt_names_is_not_purged_until_the_snapshot_is_gone,
    receipts::anew::what_was_moved_goes_when_the_new_receipt_has_waited_as_a_tombstone_does,
    receipts::binding::a_token_is_bound_to_the_first_key_until_an_administrator_lets_it_go,
    receipts::receipts_and_objects_share_one_quota,
    // But for the one that passes a whole day tick by tick; the end of a day is among the acts.
    days::repositories_are_bounded_by_the_day_as_objects_are,
    days::the_log_tells_what_a_new_token_may_do_in_a_day,
    days::the_day_of_a_token_can_be_raised,
    days::a_token_that_may_not_do_anything_is_given_no_day,
];

/// What looks into a folder, or at the room on its disk, besides; and what puts much and asks the
/// database alone, so that a bucket would only make it long.
const ON_A_FOLDER: &[fn()] = &[
    life::quotas_and_limits_hold,
    attacks::a_flood_of_snapshots_stops_at_the_bound_of_a_day,
    parts::much_is_hidden_shown_and_undeleted_a_part_at_a_time,
    moments::moments_go_of_which_nothing_tells_and_every_view_stays,
    receipts::parts::a_large_receipt_stands_as_a_small_one_does,
    receipts::anew::what_is_said_anew_of_an_older_snapshot_makes_it_no_newer,
    receipts::anew::what_a_stolen_token_has_said_takes_no_place_once_it_is_hidden,
    receipts::shares::a_run_that_looked_at_its_share_in_vain_is_gone_on_with_by_the_next,
];

/// What people do and what is tried on them, which asks the database alone.
const OF_PEOPLE: &[fn()] = &[
    thieves::what_is_shown_once_is_shown_to_whoever_asked_and_shows_a_passkey,
    thieves::a_flood_of_strangers_takes_no_challenge_from_an_operator,
    stories::all_operators_are_recovered_by_the_code_on_paper_after_a_week_unless_one_stops_it,
    stories::three_agree_to_lower_what_is_kept_and_it_is_lowered_after_three_days,
    stories::what_one_has_stopped_is_not_done,
    stories::whoever_has_the_folder_does_nothing_any_more_once_somebody_came,
    stories::a_password_with_a_code_signs_in_and_the_code_counts_once,
    stories::under_the_seal_nothing_is_lowered_or_trusted_and_others_open_it_after_a_day,
    stories::under_the_seal_nothing_is_purged_or_asked_to_be_deleted_and_uploads_go_on,
    thieves::a_challenge_is_answered_once_and_only_for_what_it_was_made_for,
    thieves::a_signature_from_another_page_or_by_whoever_was_not_verified_counts_nowhere,
    thieves::an_answer_comes_within_five_minutes_or_not_at_all,
    thieves::who_has_one_factor_has_no_rights_and_his_passkey_signs_nobody_in,
    thieves::wrong_guesses_pause_strangers_and_never_the_browser_that_was_signed_in,
    thieves::a_stolen_session_approves_nothing_enrols_nothing_and_invites_nobody,
];

#[test]
fn a_vault_on_postgres_does_all_that_one_on_sqlite_does() {
    let server = Arc::new(PostgresServer::start());
    let tests = [EVERYWHERE, ON_A_FOLDER, OF_PEOPLE].concat();
    all_within(&|| on_postgres(&server, local_bodies), &tests);
}

#[test]
fn the_promises_hold_on_postgres_whatever_is_asked_and_whenever_it_dies() {
    let server = Arc::new(PostgresServer::start());
    // Each life has a database of its own.
    let (lives, steps) = match is_thorough() {
        true => (60, 80),
        false => (2, 20),
    };
    let pair = on_postgres(&server, local_bodies);
    within(&pair, || model::promises_hold(lives, steps));
}
