//! What was done that may have taken the approval of others.

/// For how long a repository keeps things, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keeping {
    /// What arrives.
    pub(super) retention_s: i64,
    /// What is asked to be deleted.
    pub(super) grace_s: i64,
}

/// Something that was done, as its leaf tells it.
#[derive(Debug)]
pub(super) enum Effect<'a> {
    Keeping {
        repository: &'a str,
        before: Option<Keeping>,
        after: Keeping,
    },
    Compliant {
        repository: &'a str,
    },
    PurgeAgreed {
        repository: &'a str,
        tombstones: u64,
        newest: Option<u64>,
    },
    ClockConfirmed,
    ClockCaughtUp {
        by_ms: i64,
    },
    Token {
        right: &'a str,
        prefix: &'a str,
        lasts_ms: Option<i64>,
    },
    Invited {
        name: &'a str,
        roles: &'a [String],
    },
    Stands {
        operator: i64,
        standing: &'a str,
    },
    Roles {
        operator: i64,
        roles: &'a [String],
    },
    FactorRemoved {
        operator: i64,
        factor: i64,
    },
    SessionsEnded {
        operator: i64,
    },
    Rule {
        yeses: u64,
    },
    Unsealed {
        seal: u64,
    },
}

impl Effect<'_> {
    /// What it is, to be told at the head of a sentence.
    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Keeping { .. } => "What a repository keeps from here on",
            Self::Compliant { .. } => "To have a repository be compliant",
            Self::PurgeAgreed { .. } => "To agree to many deletions",
            Self::ClockConfirmed => "To believe a clock that has jumped",
            Self::ClockCaughtUp { .. } => "To have vault time catch up",
            Self::Token { .. } => "To make such a token",
            Self::Invited { .. } => "To invite an operator",
            Self::Stands { .. } => "To have an operator stand otherwise",
            Self::Roles { .. } => "To give an operator other roles",
            Self::FactorRemoved { .. } => "To remove a factor",
            Self::SessionsEnded { .. } => "To end these sessions",
            Self::Rule { .. } => "To set how many have to agree",
            Self::Unsealed { .. } => "To open the seal",
        }
    }

    /// Whether an operation has it once: sessions are ended beside what it was asked for.
    pub(super) const fn comes_once(&self) -> bool {
        !matches!(self, Self::SessionsEnded { .. } | Self::ClockConfirmed)
    }
}
