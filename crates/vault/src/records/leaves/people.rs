//! What is told of people: who came, what they showed, asked for, agreed to, and did.

use serde::Serialize;
use serde_json::value::RawValue;
use strongroom_access::{Link, OperatorId, Roles, Way};
use strongroom_model::{Id, Name, RepositoryPath};

/// By which way something came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// An operator did it at once.
    Operator(OperatorId),
    /// Several agreed to an operation.
    Operation(Id),
    /// Whoever has the vault's own folder did it.
    Folder,
    /// Somebody came by the first link.
    FirstLink,
    /// Somebody came by a link that others let him have.
    Invitation,
    /// Somebody used a seal code.
    SealCode(Name),
}

impl By {
    /// The operation, where it was one: of what one person did at once, a leaf of its own says who did.
    pub fn operation(way: &Way) -> Option<Self> {
        match way {
            Way::Operation { id, .. } => Some(Self::Operation(*id)),
            _ => None,
        }
    }
}

impl From<&Way> for By {
    fn from(way: &Way) -> Self {
        match way {
            Way::Operator(who) => Self::Operator(*who),
            Way::Operation { id, .. } => Self::Operation(*id),
            Way::Folder => Self::Folder,
            Way::Link(Link::First) => Self::FirstLink,
            Way::Link(Link::Invitation) => Self::Invitation,
            Way::SealCode { holder } => Self::SealCode(holder.clone()),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum People {
    /// An operator did at once what one may; the leaves of what came of it follow.
    Acted {
        /// Who.
        operator: OperatorId,
        /// What, exactly.
        contents: Box<RawValue>,
    },
    /// The first link was used.
    SetupClaimed {
        /// By whom.
        operator: OperatorId,
    },
    /// Set-up was ended before its time.
    SetupClosed {
        /// By whom.
        operator: OperatorId,
    },
    /// Somebody was invited.
    OperatorInvited {
        /// His number.
        operator: OperatorId,
        /// His name.
        name: Name,
        /// What he shall be there for.
        roles: Roles,
        /// By which way.
        by: By,
    },
    /// Somebody stands otherwise than before.
    OperatorStands {
        /// Who.
        operator: OperatorId,
        /// How, in one word.
        standing: &'static str,
        /// By which way.
        by: By,
    },
    /// Somebody has other roles.
    OperatorRoles {
        /// Who.
        operator: OperatorId,
        /// All that he has.
        roles: Roles,
        /// By which way.
        by: By,
    },
    /// A factor was enrolled.
    FactorEnrolled {
        /// Whose.
        operator: OperatorId,
        /// Its number.
        factor: i64,
        /// `passkey` or `password`.
        kind: &'static str,
        /// The public key of a passkey: a point of P-256, uncompressed, in base64url.
        #[serde(skip_serializing_if = "Option::is_none")]
        public_key: Option<String>,
        /// What vouches for the device.
        #[serde(skip_serializing_if = "Option::is_none")]
        attestation: Option<Box<RawValue>>,
        /// The number of the one that it replaces.
        #[serde(skip_serializing_if = "Option::is_none")]
        in_place_of: Option<i64>,
        /// By which way.
        by: By,
    },
    /// A factor was removed.
    FactorRemoved {
        /// Whose.
        operator: OperatorId,
        /// Its number.
        factor: i64,
        /// By which way.
        by: By,
    },
    /// Somebody has signed in.
    SignedIn {
        /// Who.
        operator: OperatorId,
        /// What he has shown, in one word.
        shown: &'static str,
        /// From which address.
        address: String,
        /// Whether it is a browser in which he never was before.
        #[serde(rename = "new_place")]
        is_new_place: bool,
    },
    /// Sessions were ended.
    SessionsEnded {
        /// Whose.
        operator: OperatorId,
        /// How many there were.
        sessions: u64,
        /// By which way.
        by: By,
    },
    /// An operation was asked for.
    OperationAsked {
        /// Its id: SHA-256(SHA-256(contents) ‖ asker ‖ nonce).
        operation: Id,
        /// Its number.
        number: u64,
        /// Who asks.
        asker: OperatorId,
        /// What shall be done, exactly.
        contents: Box<RawValue>,
        /// Random bytes, in base64url.
        nonce: String,
        /// What the asker says of it.
        #[serde(skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Somebody has said yes: all that it takes to check it for ever.
    OperationApproved {
        /// To which operation.
        operation: Id,
        /// Its number.
        number: u64,
        /// Who.
        operator: OperatorId,
        /// Random bytes in the challenge, in base64url as all that follows.
        nonce: String,
        /// What the authenticator said.
        authenticator_data: String,
        /// What the browser said.
        client_data: String,
        /// The signature over both.
        signature: String,
        /// The public key of the passkey.
        public_key: String,
    },
    /// An operation is not done any more.
    OperationEnded {
        /// Which one.
        operation: Id,
        /// Its number.
        number: u64,
        /// Why, in one word.
        why: &'static str,
        /// Who has stopped it, or withdrawn it.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
    },
    /// An operation was done.
    OperationDone {
        /// Which one.
        operation: Id,
        /// Its number.
        number: u64,
        /// Whose yeses counted.
        yeses: Vec<OperatorId>,
    },
    /// The vault was sealed.
    Sealed {
        /// By which way.
        by: By,
    },
    /// The seal was opened.
    Unsealed {
        /// The leaf that told of it.
        seal: u64,
        /// By which way.
        by: By,
    },
    /// Somebody was given a seal code.
    SealCode {
        /// Who.
        holder: Name,
        /// By which way.
        by: By,
    },
    /// So many have to agree from now on.
    Rule {
        /// How many.
        yeses: usize,
        /// By which way.
        by: By,
    },
    /// What a repository keeps is never lowered from now on.
    Compliant {
        /// Which one.
        repository: RepositoryPath,
        /// By which way.
        by: By,
    },
    /// A recovery of the operators was asked for on the vault's own host, with the code on paper.
    RecoveryAnnounced,
    /// An operator has stopped it.
    RecoveryStopped {
        /// Who.
        operator: OperatorId,
    },
    /// It gave its link.
    RecoveryUsed,
}
