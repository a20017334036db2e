//! Random acts by random people, with deaths between and inside, held against a model of what
//! docs/vault.md promises.
//!
//! After every step: what was answered is there and what was not is nowhere; every earlier moment
//! is seen as it was until a purge was due; the log has one leaf for each act that was done; what
//! is counted is what a recount says; the folder holds nothing that is nobody's; what receipts name
//! is told to be here or missing as it is, and is not purged while a snapshot of theirs is stored;
//! rot is told once it was read, and healed by who puts sound bytes again.
//!
//! Acts come one after another here; what happens at once is tested beside. The seed is always the
//! same, but for `cargo xtask test --thorough`, which also runs many more. The database is SQLite;
//! `fleet::pairs` lets some lives pass on PostgreSQL.

mod acts;
mod check;
mod cut;
mod expected;
mod play;
mod stories;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::acts::{Act, Step, Who, attack, beginning, step};
use self::play::Play;

/// Whether there is time for more.
fn is_thorough() -> bool {
    std::env::var_os("STRONGROOM_THOROUGH").is_some()
}

/// How many lives, and how many steps each has at most.
fn extent() -> (u32, usize) {
    match is_thorough() {
        true => (4_000, 120),
        false => (16, 40),
    }
}

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    match is_thorough() {
        true => TestRunner::new(config),
        false => {
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(config, rng)
        }
    }
}

#[test]
fn whatever_is_asked_and_whenever_it_dies_the_promises_hold() {
    let (lives, steps) = extent();
    promises_hold(lives, steps);
}

/// So many lives, of so many steps each at most.
pub(crate) fn promises_hold(lives: u32, steps: usize) {
    let life = prop::collection::vec(step(), 1..steps);
    let held = runner(lives).run(&life, |steps| {
        let mut play = Play::new();
        for step in beginning().iter().chain(&steps) {
            play.step(step);
        }
        play.end();
        Ok(())
    });
    held.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn whoever_may_only_append_takes_nothing_away() {
    let (lives, steps) = extent();
    let life = prop::collection::vec(step(), 1..steps / 2);
    let attack = prop::collection::vec(attack(), 1..steps);
    let held = runner(lives / 2).run(&(life, attack), |(life, attack)| {
        let mut play = Play::new();
        for step in beginning().iter().chain(&life) {
            play.step(step);
        }
        // Both tokens are good, and what was asked to be deleted before is nobody's fault now.
        for who in [Who::Append, Who::Limited] {
            play.step(&Step {
                act: Act::Renew(who),
                crash: None,
            });
        }
        play.remember_what_stands();
        for step in &attack {
            play.step(step);
            play.nothing_is_taken_away();
        }
        play.end();
        Ok(())
    });
    held.unwrap_or_else(|broken| panic!("{broken}"));
}
