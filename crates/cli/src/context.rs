//! What every command needs: where to speak, how to stop, and the session with the repository.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::Timestamp;
use strongroom_engine::drill::restore::remove_remnants;
use strongroom_engine::filesystem::Names;
use strongroom_engine::removals::Telling;
use strongroom_engine::session::{Looking, Password, open_behind, open_remembering};
use strongroom_engine::state::{Predecessor, RepositoryState, StateFolder};
use strongroom_engine::{Cancel, CopyState, CopyStore, Environment, Session};
use strongroom_model::Config;

use crate::cli::GlobalArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::{Output, visible};
use crate::vaults::{self, Copies, Met, NewFiles, Vaults};
use crate::{config_file, copies, locking, memory, password, predecessors, state_folder};

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where it speaks.
    pub(crate) output: Output,
    /// Set when the user interrupts.
    pub(crate) cancel: Cancel,
    global: GlobalArgs,
    /// Whether a vault's log raised an alarm that nobody has answered.
    is_alarmed: AtomicBool,
    /// What removals of other machines hide that lies on a copy and may still be taken back, each on
    /// one line.
    hidden: Mutex<Vec<String>>,
    /// Which repositories were on copies before the one that is there now, and were not accepted as
    /// given up, each on one line.
    replaced: Mutex<Vec<String>>,
}

/// A repository that was opened by its configuration.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The configuration.
    pub(crate) config: Config,
    /// The session with all copies.
    pub(crate) session: Session,
    /// Who runs, where, and how to stop it.
    pub(crate) environment: Environment,
    /// What this machine remembers between runs.
    pub(crate) state: StateFolder,
    /// The vaults among the copies.
    pub(crate) vaults: Vaults,
}

/// A configuration whose repository may be open or not.
#[derive(Debug)]
pub(crate) struct Looked {
    /// The configuration.
    pub(crate) config: Config,
    /// Its copies.
    pub(crate) copies: Copies,
    /// The session with all copies, or why there is none.
    pub(crate) session: std::result::Result<Session, Error>,
    /// The vaults among the copies.
    pub(crate) vaults: Vaults,
}

/// What opens the repository of some copies by its password, with what the state folder remembers.
type Open = fn(
    &[CopyStore],
    &[u8],
    &Looking,
    &StateFolder,
    Timestamp,
) -> strongroom_engine::Result<Session>;

impl Context {
    /// Takes the options that are the same for all commands.
    pub(crate) fn new(global: GlobalArgs) -> Self {
        if global.no_color {
            anstream::ColorChoice::Never.write_global();
        }
        // indicatif itself draws nothing where standard error is not a terminal.
        let bars = MultiProgress::new();
        if global.json || global.quiet {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self {
            output: Output {
                json: global.json,
                quiet: global.quiet,
                bars,
            },
            cancel: Cancel::default(),
            global,
            is_alarmed: AtomicBool::new(false),
            hidden: Mutex::default(),
            replaced: Mutex::default(),
        }
    }

    /// How many times `-v` was given.
    pub(crate) const fn verbosity(&self) -> u8 {
        self.global.verbose
    }

    /// Who runs, where, and how to stop it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge at which the clock comes in"
    )]
    pub(crate) fn environment(&self) -> Environment {
        let system = rustix::system::uname();
        let uid = rustix::process::getuid().as_raw();
        let username = Names::default().user(uid);
        Environment {
            clock: Arc::new(jiff::Timestamp::now),
            hostname: system.nodename().to_string_lossy().into_owned(),
            username: username.map_or_else(|| uid.to_string(), |name| name.to_string()),
            cancel: self.cancel.clone(),
        }
    }

    /// Reads the configuration, wherever it is.
    pub(crate) fn config(&self) -> Result<Config> {
        let config_file::Found {
            path,
            config,
            fault,
        } = config_file::read(self.global.config.as_deref())?;
        if let Some(fault) = fault {
            let text = format!("What {} says runs as you, and {fault}", path.display());
            self.output.warn(&text, Some(&fault.mend()));
        }
        for problem in &config.warnings {
            self.output
                .warn(&format!("{}: {problem}", path.display()), None);
        }
        Ok(config)
    }

    /// The copies of a configuration.
    pub(crate) fn copies(&self, config: &Config) -> Result<Copies> {
        let mut copies = Copies::default();
        for copy in &config.copies {
            let (store, vault) = copies::prepare(copy, self)?;
            copies.stores.push(store);
            copies.vaults.extend(vault);
        }
        Ok(copies)
    }

    /// Meets the vaults among the copies while `work` goes on beside it, and tells how their logs
    /// stand. `opened` names the copies that the work has opened.
    pub(crate) fn meet<T>(
        &self,
        copies: &Copies,
        state: &StateFolder,
        work: impl FnOnce() -> T,
        opened: impl FnOnce(&T) -> BTreeSet<String>,
    ) -> Result<(Vaults, T)> {
        let now = (self.environment().clock)();
        let (mut vaults, done) = std::thread::scope(|scope| {
            let meeting = scope.spawn(|| vaults::meet(&copies.vaults, state, now));
            let done = work();
            (meeting.join().unwrap_or_default(), done)
        });
        vaults.were_opened(&opened(&done), state, now);
        self.note_alarms(&vaults);
        vaults.tell(&self.output)?;
        Ok((vaults, done))
    }

    /// Asks the vaults that took new files in this run whether their logs went on, and tells where
    /// they did not show it.
    pub(crate) fn ask_again(&self, opened: &mut Opened, new: &NewFiles) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        let now = (self.environment().clock)();
        let asked = opened.vaults.ask_again(new, &opened.state, now);
        self.note_alarms(&opened.vaults);
        opened.vaults.tell_again(&asked, &self.output)
    }

    fn note_alarms(&self, vaults: &Vaults) {
        if vaults.are_alarmed() {
            self.is_alarmed.store(true, Ordering::Relaxed);
        }
    }

    /// Notes what removals of other machines hide that may still be taken back.
    pub(crate) fn note_removals(&self, session: &Session) {
        let alarms = session.removals.alarms(session);
        let alarms = alarms.iter().map(|told| format!("{told}; {}", told.hint()));
        *self.hidden.lock().unwrap_or_else(PoisonError::into_inner) = alarms.collect();
    }

    /// Raises an alarm of each repository that was on copies before the one that is there now.
    pub(crate) fn tell_predecessors(&self, told: &[Predecessor]) {
        predecessors::tell(&self.output, told);
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.extend(predecessors::lines(told));
    }

    /// Takes note that they were accepted as given up.
    pub(crate) fn forget_predecessors(&self) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.clear();
    }

    /// The alarms of this run, each on one line: of the logs of vaults, of repositories that were on
    /// copies before, and of what removals of other machines hide.
    pub(crate) fn alarms(&self, vaults: &Vaults) -> Vec<String> {
        let mut alarms = self.alarms_of_copies(vaults);
        alarms.extend(all(&self.hidden));
        alarms
    }

    /// The same, without what removals hide.
    pub(crate) fn alarms_of_copies(&self, vaults: &Vaults) -> Vec<String> {
        let mut alarms = vaults.alarms();
        alarms.extend(all(&self.replaced));
        alarms
    }

    /// The exit status where a log raised an alarm, or a removal of another machine is one, or a
    /// repository that was on a copy before, or none of them: whatever else came of the work, somebody
    /// has to see to that.
    pub(crate) fn after_alarms(&self, exit: Exit) -> Exit {
        let is_hidden = !all(&self.hidden).is_empty();
        if is_hidden {
            let text = "A removal that this machine did not decide hides files, as told above";
            self.output.warn(text, None);
        }
        let is_replaced = !all(&self.replaced).is_empty();
        if is_replaced {
            let text = "Another repository was there before, as told above";
            self.output.warn(text, None);
        }
        let exit = match exit {
            Exit::Done if is_hidden || is_replaced => Exit::Incomplete,
            other => other,
        };
        if !self.is_alarmed.load(Ordering::Relaxed) {
            return exit;
        }
        let text = "The log of a vault raised an alarm, as told above";
        self.output.warn(text, None);
        match exit {
            Exit::Done | Exit::Incomplete => Exit::Failed,
            other => other,
        }
    }

    /// The password, from wherever the configuration says.
    pub(crate) fn password(&self, config: &Config, ask: password::Ask) -> Result<Password> {
        password::read(config.password.as_ref(), ask, &self.output)
    }

    /// Opens the repository; copies that cannot be used are told, and locks that end too soon.
    pub(crate) fn open(&self) -> Result<Opened> {
        let opened = self.open_to_extend()?;
        locking::tell_alarms_of(&self.output, &opened);
        Ok(opened)
    }

    /// As [`Context::open`], for who extends locks, and tells then what is left of them.
    pub(crate) fn open_to_extend(&self) -> Result<Opened> {
        self.open_by(open_remembering)
    }

    /// The same for who does nothing else: where nothing in sight opens the repository, what lies
    /// hidden does, and that is an alarm.
    pub(crate) fn open_behind(&self) -> Result<Opened> {
        let opened = self.open_by(open_behind)?;
        if let Some(copy) = &opened.session.opened_behind {
            locking::tell_hidden_keys(&self.output, copy);
        }
        Ok(opened)
    }

    fn open_by(&self, open: Open) -> Result<Opened> {
        let config = self.config()?;
        let copies = self.copies(&config)?;
        let password = self.password(&config, password::Ask::Once)?;
        let state = state_folder::choose()?;
        let looking = Looking::until(&self.cancel);
        let now = (self.environment().clock)();
        let opening = || open(&copies.stores, &password, &looking, &state, now);
        let (vaults, session) = self.meet(&copies, &state, opening, opened_in)?;
        let mut session = session?;
        self.tell_left_out(&session);
        self.tell_predecessors(&session.predecessors);
        self.cancel.check()?;
        self.tell_removals(&session.removals.told_of(&session));
        self.note_removals(&session);
        let remembered = state.repository(session.id());
        remove_remnants(&remembered);
        memory::doubt(&mut session, &remembered);
        session.note_locks_in(remembered);
        let opened = Opened {
            config,
            session,
            environment: self.environment(),
            state,
            vaults,
        };
        vaults::deliver_left(&opened);
        Ok(opened)
    }

    /// Opens the repository where that takes no question, for commands that do without.
    pub(crate) fn look(&self) -> Result<Looked> {
        let config = self.config()?;
        let copies = self.copies(&config)?;
        let password = self.password(&config, password::Ask::Never);
        let looking = Looking::until(&self.cancel);
        let state = state_folder::choose()?;
        let now = (self.environment().clock)();
        let open = || {
            password.and_then(|password| {
                let stores = &copies.stores;
                Ok(open_remembering(stores, &password, &looking, &state, now)?)
            })
        };
        let (vaults, session) = self.meet(&copies, &state, open, opened_in)?;
        if let Ok(session) = &session {
            self.tell_predecessors(&session.predecessors);
        }
        self.cancel.check()?;
        Ok(Looked {
            config,
            copies,
            session,
            vaults,
        })
    }

    /// Tells what a person has to know of records of removals, as of one that somebody else wrote.
    pub(crate) fn tell_removals(&self, tellings: &[Telling]) {
        for told in tellings {
            let (text, hint) = (visible(&told.to_string()), told.hint());
            self.output.warn(&text, Some(&visible(&hint)));
        }
    }

    fn tell_left_out(&self, session: &Session) {
        for copy in &session.copies {
            if let CopyState::Failed(failure) = &copy.state {
                let text = format!("{} is left out: {}", copy.copy.name, failure.reason);
                self.output.warn(&text, failure.hint.as_deref());
            }
        }
    }
}

/// What was noted by now.
fn all(noted: &Mutex<Vec<String>>) -> Vec<String> {
    let noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
    noted.clone()
}

/// The copies that a session has opened, by name.
fn opened_in<E>(session: &std::result::Result<Session, E>) -> BTreeSet<String> {
    let session = session.as_ref().ok();
    let ready = session.into_iter().flat_map(Session::ready);
    ready.map(|(copy, _)| copy.name.clone()).collect()
}

impl Opened {
    /// What this machine remembers of the repository.
    pub(crate) fn memory(&self) -> RepositoryState {
        self.state.repository(self.session.id())
    }

    /// Fails where a vault says that it is sealed: then nothing is destroyed, on no copy.
    pub(crate) fn check_seal(&self) -> Result<()> {
        let is_sealed = |met: &&Met| met.info.as_ref().is_some_and(|info| info.sealed);
        match self.vaults.met.iter().find(is_sealed) {
            Some(met) => Err(Error::Sealed {
                copy: met.copy.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Whether every copy of the configuration can be used.
    pub(crate) fn has_all_copies(&self) -> bool {
        self.session.ready().count() == self.session.copies.len()
    }

    /// The copies that cannot be used, by name.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let copies = self.session.copies.iter();
        let failed = copies.filter(|copy| matches!(copy.state, CopyState::Failed(_)));
        failed.map(|copy| copy.copy.name.clone()).collect()
    }
}
