//! Copies that are used although nobody could open them by themselves.
//!
//! One sibling's key and `config` open the repository for all, so a copy whose own are damaged or
//! missing is read like any other. Whoever does that has to be told: should the siblings go away,
//! this copy is locked for good. Only the copies that were tried are known by their keys; of
//! `config` it is known of all.

use std::fmt;

use crate::session::Session;

/// What is wrong with the files by which a copy is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The copy, by its name.
    pub copy: String,
    /// What is wrong.
    pub problem: FlawProblem,
}

/// The kinds of [`Flaw`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlawProblem {
    /// It was tried before the one that opened, and did not open.
    PassedOver {
        /// Why not.
        reason: String,
    },
    /// Its `config` is not there, or not the repository's.
    Config,
}

impl Session {
    /// What is wrong with the keys and `config` of copies that are used all the same; one for each
    /// such copy, in the order of the configuration.
    pub fn flaws(&self) -> Vec<Flaw> {
        let flaw_of = |name: &str, config_is_right: bool| {
            let problem = match self.passed_over.get(name) {
                Some(reason) => FlawProblem::PassedOver {
                    reason: reason.clone(),
                },
                None if config_is_right => return None,
                None => FlawProblem::Config,
            };
            let copy = name.to_owned();
            Some(Flaw { copy, problem })
        };
        self.ready()
            .filter_map(|(copy, ready)| flaw_of(&copy.name, ready.config_is_right))
            .collect()
    }
}

impl Flaw {
    /// The next step.
    pub const fn hint(&self) -> &'static str {
        "what is wrong: strongroom verify; to mend it from another copy: strongroom sync"
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copy, problem } = self;
        match problem {
            FlawProblem::PassedOver { reason } => {
                write!(f, "{copy} does not open by itself: {reason}")
            }
            FlawProblem::Config => write!(
                f,
                "{copy}: its config is missing or differs from the repository's"
            ),
        }
    }
}
