//! The clock as one process of several knows it, between two looks at the row.
//!
//! The process that holds the lease `clock` moves the row; the others read it every few seconds.
//! What a process adds by its own boot clock is never written anywhere, so no second is counted
//! twice: it is forgotten at the next look.
//!
//! What can go wrong: a process that cannot look, or was asleep. It adds 15 s at most to what it
//! last knew. Who holds the lease and dies: the row stands still, and nobody is ahead of it by
//! more than that. A machine with a wrong wall clock: while another one moves the row, its wall
//! clock is believed within the same 15 s.

use crate::rules::clock::{Reading, SECOND_MS, VaultClock};

/// The most that a process adds to what it last read.
pub const LONGEST_UNSEEN_MS: i64 = 15 * SECOND_MS;

/// The clock as one process knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessClock {
    /// The row.
    row: VaultClock,
    /// What the clocks of this process said when it had read the row.
    at: Reading,
    /// Whether a process lives that moves the row.
    is_moved: bool,
    /// The latest that was shown.
    shown: Shown,
}

/// What time it is for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Vault time.
    pub vault_ms: i64,
    /// The wall time that is recorded with what happens.
    pub recorded_ms: i64,
    /// Whether a jump was seen that nobody has confirmed.
    pub is_doubted: bool,
}

impl ProcessClock {
    /// The clock after a first look at the row; `at` must have been read after the row was, so
    /// that no time is added that the row holds already.
    pub const fn new(row: VaultClock, at: Reading, is_moved: bool) -> Self {
        let shown = Shown {
            vault_ms: row.vault_ms,
            recorded_ms: row.recorded_ms,
            is_doubted: row.is_doubted,
        };
        Self {
            row,
            at,
            is_moved,
            shown,
        }
    }

    /// Looks at the row again; what was shown stays, so that time never runs backwards here.
    pub fn look(&mut self, row: VaultClock, at: Reading, is_moved: bool) {
        *self = Self {
            shown: self.shown,
            ..Self::new(row, at, is_moved)
        };
    }

    /// What time it is.
    pub fn now(&mut self, reading: &Reading) -> Shown {
        let now = self.reckon(reading);
        self.shown = Shown {
            vault_ms: self.shown.vault_ms.max(now.vault_ms),
            recorded_ms: self.shown.recorded_ms.max(now.recorded_ms),
            is_doubted: now.is_doubted,
        };
        self.shown
    }

    fn reckon(&self, reading: &Reading) -> Shown {
        let row = &self.row;
        let (stepped, _) = row.step(reading.clone());
        let most_ms = row.vault_ms.saturating_add(LONGEST_UNSEEN_MS);
        if row.last.boot == reading.boot || !self.is_moved {
            // It was moved by this process, or nobody moves it, and then vault time stands still.
            return Shown {
                vault_ms: stepped.vault_ms.min(most_ms),
                recorded_ms: stepped.recorded_ms,
                is_doubted: stepped.is_doubted,
            };
        }
        let unseen_ms = match self.at.boot == reading.boot {
            true => reading.boottime_ms.saturating_sub(self.at.boottime_ms),
            false => 0,
        };
        let unseen_ms = unseen_ms.clamp(0, LONGEST_UNSEEN_MS);
        let followed_ms = row.recorded_ms.saturating_add(unseen_ms);
        Shown {
            vault_ms: row.vault_ms.saturating_add(unseen_ms),
            recorded_ms: match row.is_doubted {
                true => followed_ms,
                false => reading.wall_ms.clamp(
                    row.recorded_ms,
                    followed_ms.saturating_add(LONGEST_UNSEEN_MS),
                ),
            },
            is_doubted: row.is_doubted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::clock::{DAY_MS, HOUR_MS, JUMP_MS, MINUTE_MS};
    use proptest::prelude::*;

    const START_MS: i64 = 1_800_000_000_000;

    /// How long a lease runs.
    const LEASE_MS: i64 = 30 * SECOND_MS;

    /// A machine with one process on it.
    #[derive(Debug)]
    struct Host {
        number: usize,
        /// Which start of the machine it is, and which run of the process.
        start: u32,
        run: u32,
        /// True time less the boot clock.
        booted_ms: i64,
        /// How far its wall clock is off.
        off_ms: i64,
        /// `None` while the process is dead.
        clock: Option<ProcessClock>,
    }

    /// Several machines, one row, and the true time.
    #[derive(Debug)]
    struct Fleet {
        now_ms: i64,
        row: VaultClock,
        /// Who holds the lease, and until when.
        lease: Option<(usize, i64)>,
        hosts: Vec<Host>,
    }

    #[derive(Clone, Debug)]
    enum Event {
        Pass(i64),
        Tick(usize),
        /// It dies, and its lease stays until its end.
        Kill(usize),
        /// It stops as it should, and gives the lease back.
        Stop(usize),
        Start(usize),
        Reboot(usize),
    }

    impl Host {
        fn reading(&self, now_ms: i64) -> Reading {
            Reading {
                boot: format!("{}.{} {}", self.number, self.start, self.run),
                boottime_ms: now_ms - self.booted_ms,
                wall_ms: now_ms + self.off_ms,
            }
        }
    }

    impl Fleet {
        fn new(offs_ms: &[i64]) -> Self {
            let hosts = offs_ms.iter().enumerate().map(|(number, off_ms)| Host {
                number,
                start: 0,
                run: 0,
                booted_ms: START_MS - (number as i64) * DAY_MS,
                off_ms: *off_ms,
                clock: None,
            });
            let mut fleet = Self {
                now_ms: START_MS,
                row: VaultClock::begin(Reading {
                    boot: "the one that made it".to_owned(),
                    boottime_ms: 0,
                    wall_ms: START_MS,
                }),
                lease: None,
                hosts: hosts.collect(),
            };
            for number in 0..offs_ms.len() {
                fleet.happen(&Event::Start(number));
            }
            fleet
        }

        fn happen(&mut self, event: &Event) {
            match *event {
                Event::Pass(ms) => self.now_ms += ms,
                Event::Tick(number) => self.tick(number),
                Event::Kill(number) => self.hosts[number].clock = None,
                Event::Stop(number) => {
                    self.hosts[number].clock = None;
                    self.lease = self.lease.filter(|(holder, _)| *holder != number);
                }
                Event::Start(number) | Event::Reboot(number) => {
                    let is_moved = self.is_moved();
                    let host = &mut self.hosts[number];
                    host.run += 1;
                    if matches!(event, Event::Reboot(_)) {
                        host.start += 1;
                        host.booted_ms = self.now_ms;
                    }
                    let reading = host.reading(self.now_ms);
                    let clock = ProcessClock::new(self.row.clone(), reading, is_moved);
                    host.clock = Some(clock);
                }
            }
        }

        fn is_moved(&self) -> bool {
            self.lease
                .is_some_and(|(_, until_ms)| until_ms > self.now_ms)
        }

        fn tick(&mut self, number: usize) {
            let is_others = self
                .lease
                .is_some_and(|(holder, until_ms)| holder != number && until_ms > self.now_ms);
            let reading = self.hosts[number].reading(self.now_ms);
            let Some(clock) = &mut self.hosts[number].clock else {
                return;
            };
            if !is_others {
                self.lease = Some((number, self.now_ms + LEASE_MS));
                self.row = self.row.step(reading.clone()).0;
            }
            clock.look(self.row.clone(), reading, true);
        }

        /// What each living process shows.
        fn shown(&mut self) -> Vec<(usize, Shown)> {
            let now_ms = self.now_ms;
            let living = self.hosts.iter_mut().filter_map(|host| {
                let reading = host.reading(now_ms);
                let shown = host.clock.as_mut()?.now(&reading);
                Some((host.number, shown))
            });
            living.collect()
        }
    }

    fn event(hosts: usize) -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (1..20 * SECOND_MS).prop_map(Event::Pass),
            1 => (MINUTE_MS..2 * DAY_MS).prop_map(Event::Pass),
            6 => (0..hosts).prop_map(Event::Tick),
            1 => (0..hosts).prop_map(Event::Kill),
            1 => (0..hosts).prop_map(Event::Stop),
            1 => (0..hosts).prop_map(Event::Start),
            1 => (0..hosts).prop_map(Event::Reboot),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// However many hosts there are, whoever dies, sleeps or boots anew: no second is counted
        /// twice, time that passed while nobody ticked is not counted at all, and no process shows
        /// more than the row and 15 s.
        #[test]
        fn several_hosts_together_are_no_faster_than_one(
            events in prop::collection::vec(event(3), 1..120),
        ) {
            // Their wall clocks are as far apart as may be without a jump between any two.
            let mut fleet = Fleet::new(&[0, JUMP_MS / 2, -JUMP_MS / 2 + 1]);
            let mut shown_before = vec![None; 3];
            for event in &events {
                let row_ms = fleet.row.vault_ms;
                fleet.happen(event);
                let moved_ms = fleet.row.vault_ms - row_ms;
                prop_assert!(matches!(event, Event::Tick(_)) || moved_ms == 0);
                prop_assert!((0..=MINUTE_MS * 25 / 24).contains(&moved_ms), "{moved_ms}");
                prop_assert!(fleet.row.vault_ms <= fleet.now_ms + JUMP_MS / 2);
                prop_assert!(!fleet.row.is_doubted);
                if matches!(event, Event::Start(_) | Event::Reboot(_)) {
                    // Another process, which does not know what its predecessor showed.
                    shown_before = vec![None; 3];
                }
                for (number, shown) in fleet.shown() {
                    prop_assert!(shown.vault_ms <= fleet.row.vault_ms + LONGEST_UNSEEN_MS);
                    let before: Option<Shown> = shown_before[number];
                    if let Some(before) = before {
                        prop_assert!(shown.vault_ms >= before.vault_ms);
                        prop_assert!(shown.recorded_ms >= before.recorded_ms);
                    }
                    shown_before[number] = Some(shown);
                }
            }
        }

        /// While one of them always lives and ticks, vault time goes as fast as true time does,
        /// but for what a change of the holder costs.
        #[test]
        fn a_fleet_whose_members_die_in_turn_loses_only_the_changes(
            lives_s in prop::collection::vec(60..600_i64, 1..20),
        ) {
            let mut fleet = Fleet::new(&[0, 0]);
            for (turn, life_s) in lives_s.iter().enumerate() {
                let (one, other) = (turn % 2, (turn + 1) % 2);
                fleet.happen(&Event::Start(one));
                for _ in 0..life_s / 5 {
                    fleet.happen(&Event::Pass(5 * SECOND_MS));
                    fleet.happen(&Event::Tick(one));
                    fleet.happen(&Event::Tick(other));
                }
                fleet.happen(&Event::Kill(one));
                fleet.happen(&Event::Start(other));
            }
            let lag_ms = fleet.now_ms - fleet.row.vault_ms;
            let changes = lives_s.len() as i64;
            prop_assert!((0..=(changes + 1) * (LEASE_MS + 10 * SECOND_MS)).contains(&lag_ms), "{lag_ms}");
        }
    }

    #[test]
    fn two_hosts_that_take_turns_count_nothing_twice() {
        let mut fleet = Fleet::new(&[0, 0]);
        for _ in 0..100 {
            for number in [0, 1] {
                fleet.lease = None;
                fleet.happen(&Event::Pass(SECOND_MS));
                fleet.happen(&Event::Tick(number));
            }
        }
        assert_eq!(fleet.row.vault_ms, START_MS, "each of them begins anew");
    }

    #[test]
    fn who_reads_follows_who_moves_and_stands_still_when_he_is_gone() {
        let mut fleet = Fleet::new(&[0, 0]);
        for _ in 0..10 {
            fleet.happen(&Event::Pass(5 * SECOND_MS));
            fleet.happen(&Event::Tick(0));
            fleet.happen(&Event::Tick(1));
        }
        // The first tick had nothing to go by; since then it has caught up a little.
        let row_ms = fleet.row.vault_ms;
        let caught_up_ms = row_ms - START_MS - 45 * SECOND_MS;
        assert!((0..2 * SECOND_MS).contains(&caught_up_ms), "{caught_up_ms}");
        fleet.happen(&Event::Pass(4 * SECOND_MS));
        let (_, shown) = fleet.shown()[1];
        assert_eq!(shown.vault_ms, row_ms + 4 * SECOND_MS);
        assert_eq!(shown.recorded_ms, START_MS + 54 * SECOND_MS);
        // The holder dies, and the other cannot look for an hour.
        fleet.happen(&Event::Kill(0));
        fleet.happen(&Event::Pass(HOUR_MS));
        let (_, shown) = fleet.shown()[0];
        assert_eq!(shown.vault_ms, row_ms + LONGEST_UNSEEN_MS);
    }

    #[test]
    fn a_wrong_wall_clock_of_who_does_not_move_the_row_is_not_recorded() {
        let mut fleet = Fleet::new(&[0, 20 * DAY_MS]);
        fleet.happen(&Event::Tick(0));
        fleet.happen(&Event::Tick(1));
        fleet.happen(&Event::Pass(SECOND_MS));
        let (_, shown) = fleet.shown()[1];
        let most_ms = START_MS + SECOND_MS + LONGEST_UNSEEN_MS;
        assert!(shown.recorded_ms <= most_ms, "{shown:?}");
        assert_eq!(shown.vault_ms, START_MS + SECOND_MS);
    }

    #[test]
    fn a_process_alone_records_the_wall_time_though_the_row_is_old() {
        let row = VaultClock::begin(Reading {
            boot: "server".to_owned(),
            boottime_ms: 0,
            wall_ms: START_MS,
        });
        let reading = Reading {
            boot: "command".to_owned(),
            boottime_ms: 7,
            wall_ms: START_MS + DAY_MS,
        };
        let mut clock = ProcessClock::new(row, reading.clone(), false);
        let shown = clock.now(&reading);
        assert_eq!(
            (shown.vault_ms, shown.recorded_ms),
            (START_MS, START_MS + DAY_MS)
        );
    }
}
