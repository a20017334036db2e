//! The exit statuses, each with one meaning.

use strongroom_model::scorecard::Standing;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it was done.
    Done = 0,
    /// It was not done.
    Failed = 1,
    /// It was not understood what to do; clap exits with the same.
    Usage = 2,
    /// It was done in part, and what is missing was named.
    Incomplete = 3,
    /// There is no repository.
    NoRepository = 10,
    /// Somebody else holds a lock.
    Locked = 11,
    /// The password does not fit.
    WrongPassword = 12,
    /// The user interrupted.
    Interrupted = 130,
}

/// The manual's section on exit statuses.
pub(crate) const MANUAL: &str = "\
Exit status:
    0  done
    1  failed
    2  wrong usage
    3  incomplete: something was left out, and is named
   10  no repository
   11  locked by another process
   12  wrong password
  130  interrupted";

impl Exit {
    /// Done where all of it was, else incomplete.
    pub(crate) const fn of(complete: bool) -> Self {
        if complete {
            Self::Done
        } else {
            Self::Incomplete
        }
    }

    /// Done only if the plan is met.
    pub(crate) const fn of_plan(met: Standing) -> Self {
        match met {
            Standing::Met => Self::Done,
            Standing::Missed => Self::Failed,
            Standing::Unproven => Self::Incomplete,
        }
    }

    /// What it means where the user has interrupted or not: something was left out because of it.
    pub(crate) const fn after(self, interrupted: bool) -> Self {
        match self {
            Self::Incomplete if interrupted => Self::Interrupted,
            other => other,
        }
    }

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interruption_left_out_is_told_as_interrupted() {
        assert_eq!(Exit::of(false).after(true), Exit::Interrupted);
        assert_eq!(Exit::of(false).after(false), Exit::Incomplete);
        assert_eq!(Exit::of(true).after(true), Exit::Done);
        assert_eq!(Exit::Failed.after(true), Exit::Failed);
    }
}
