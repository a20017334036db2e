//! The life of an object: what a POST and a DELETE make of it.
//!
//! Nothing here removes bytes. The only way to `Purging` is through `Tombstoned`, and what the
//! client is told depends on nothing but what is stored.

use strongroom_model::FileType;

/// What holds of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Listed and read.
    Live,
    /// Asked to be deleted: seen no more, kept until its time.
    Tombstoned,
    /// Taken out of sight by an operator, with all that its token put.
    Hidden,
    /// A key that came after the init and waits for an operator.
    Pending,
    /// Its bytes are being removed; only the lease of whoever does it is waited for.
    Purging,
}

/// What the database holds of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which body.
    pub generation: u32,
    /// Its size.
    pub bytes: u64,
    /// What holds of it.
    pub state: State,
    /// The token that brought it.
    pub token: i64,
    /// The leaf from which this life is seen.
    pub began: u64,
    /// The leaf from which it is not seen any more.
    pub ended: Option<u64>,
    /// When it came, by vault time.
    pub arrived_ms: i64,
    /// When its deletion was asked for, by vault time.
    pub tombstoned_ms: Option<i64>,
}

/// What a POST of sound bytes means, before anything is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// There is nothing: it arrives, and is then in this state.
    Arrives(State),
    /// It is there: the stored bytes are looked at, and replaced where they are rotten.
    IsThere,
    /// It was asked to be deleted, or hidden by what another token did: it is there again, and is
    /// then in the state that [`revived`] says.
    Revives(State),
    /// It is being purged: wait, then look again.
    Waits,
    /// An operator has hidden what this token put; only an operator brings it back.
    IsHidden,
}

impl State {
    /// All states, each at its number in the database.
    pub const ALL: [Self; 5] = [
        Self::Live,
        Self::Tombstoned,
        Self::Hidden,
        Self::Pending,
        Self::Purging,
    ];

    /// The number by which the database knows it.
    pub const fn number(self) -> i64 {
        match self {
            Self::Live => 0,
            Self::Tombstoned => 1,
            Self::Hidden => 2,
            Self::Pending => 3,
            Self::Purging => 4,
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Tombstoned => "tombstoned",
            Self::Hidden => "hidden",
            Self::Pending => "pending",
            Self::Purging => "purging",
        }
    }

    /// The state of a number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

impl Object {
    /// Whether it is seen as of a number of leaves.
    pub fn is_seen_as_of(&self, leaves: u64) -> bool {
        let is_visible = !matches!(self.state, State::Pending | State::Purging);
        is_visible && self.began < leaves && self.ended.is_none_or(|ended| ended >= leaves)
    }
}

/// What a POST by `token` means, where `found` is what is stored.
pub fn post(found: Option<&Object>, kind: FileType, has_config: bool, token: i64) -> Post {
    let Some(object) = found else {
        return Post::Arrives(revived(kind, has_config));
    };
    match object.state {
        State::Live | State::Pending => Post::IsThere,
        State::Tombstoned => Post::Revives(revived(kind, has_config)),
        State::Hidden if object.token == token => Post::IsHidden,
        State::Hidden if kind == FileType::Keys => Post::IsHidden,
        State::Hidden => Post::Revives(revived(kind, has_config)),
        State::Purging => Post::Waits,
    }
}

/// The state of what arrives, or is there again by a POST: a key waits for an operator once there
/// is a `config`, also one that was there before. Whoever removed it meant it.
pub fn revived(kind: FileType, has_config: bool) -> State {
    match kind == FileType::Keys && has_config {
        true => State::Pending,
        false => State::Live,
    }
}

/// Whether what a POST finds was asked to be deleted after it had begun, when it found `before`. Such
/// a POST brings nothing back: whoever asked for the deletion may have given it up, and knows nothing
/// of it any more. Whoever still waits for it asks again, and means it.
pub fn is_deleted_since(before: Option<&Object>, found: &Object) -> bool {
    let deletion = |object: &Object| (object.state, object.ended, object.tombstoned_ms);
    found.state == State::Tombstoned
        && before.is_none_or(|before| deletion(before) != deletion(found))
}

/// What a DELETE makes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delete {
    /// It is seen no more, and kept until its time.
    Ends,
    /// It waited for an operator, and was never seen: it waits no more, and is kept as well.
    Rejects,
    /// It was hidden, and stays out of sight: it is kept until its time, and not for ever.
    Buries,
    /// Nothing: it is not seen as it is.
    IsGone,
}

/// What a DELETE means for an object in a state.
pub const fn delete(state: State) -> Delete {
    match state {
        State::Live => Delete::Ends,
        State::Pending => Delete::Rejects,
        State::Hidden => Delete::Buries,
        State::Tombstoned | State::Purging => Delete::IsGone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(state: State) -> Object {
        Object {
            generation: 1,
            bytes: 10,
            state,
            token: 7,
            began: 5,
            ended: None,
            arrived_ms: 0,
            tombstoned_ms: None,
        }
    }

    #[test]
    fn a_key_waits_for_an_operator_once_the_repository_is_made() {
        let arrives = |kind, has_config| post(None, kind, has_config, 7);
        assert_eq!(arrives(FileType::Keys, false), Post::Arrives(State::Live));
        assert_eq!(arrives(FileType::Keys, true), Post::Arrives(State::Pending));
        assert_eq!(arrives(FileType::Data, true), Post::Arrives(State::Live));
    }

    #[test]
    fn a_key_that_was_removed_waits_as_a_new_one_does() {
        let removed = object(State::Tombstoned);
        let revives = |kind, has_config| post(Some(&removed), kind, has_config, 8);
        assert_eq!(revives(FileType::Keys, true), Post::Revives(State::Pending));
        assert_eq!(revives(FileType::Keys, false), Post::Revives(State::Live));
        assert_eq!(revives(FileType::Data, true), Post::Revives(State::Live));
    }

    #[test]
    fn what_was_hidden_is_not_brought_back_by_who_put_it() {
        let hidden = object(State::Hidden);
        assert_eq!(post(Some(&hidden), FileType::Data, true, 7), Post::IsHidden);
        let revived = Post::Revives(State::Live);
        assert_eq!(post(Some(&hidden), FileType::Data, true, 8), revived);
        assert_eq!(post(Some(&hidden), FileType::Keys, true, 8), Post::IsHidden);
    }

    #[test]
    fn a_key_comes_back_by_a_post_only_as_one_that_waits() {
        assert_eq!(revived(FileType::Keys, true), State::Pending);
        assert_eq!(revived(FileType::Keys, false), State::Live);
        assert_eq!(revived(FileType::Snapshots, true), State::Live);
    }

    #[test]
    fn a_deletion_after_a_post_began_is_told_from_one_before_it() {
        let mut first = object(State::Tombstoned);
        (first.ended, first.tombstoned_ms) = (Some(9), Some(1_000));
        let later = Object {
            ended: Some(12),
            ..first.clone()
        };
        assert!(!is_deleted_since(Some(&first), &first));
        assert!(is_deleted_since(Some(&first), &later));
        assert!(is_deleted_since(Some(&object(State::Live)), &first));
        assert!(is_deleted_since(None, &first));
        assert!(!is_deleted_since(None, &object(State::Live)));
        assert!(!is_deleted_since(Some(&first), &object(State::Live)));
    }

    #[test]
    fn a_deletion_ends_what_is_seen_rejects_what_waits_and_buries_what_is_hidden() {
        let all = State::ALL.map(delete);
        let (ends, gone) = (Delete::Ends, Delete::IsGone);
        let (buries, rejects) = (Delete::Buries, Delete::Rejects);
        assert_eq!(all, [ends, gone, buries, rejects, gone]);
    }

    #[test]
    fn a_life_is_seen_from_the_leaf_that_began_it_to_the_one_that_ended_it() {
        let mut life = object(State::Tombstoned);
        life.ended = Some(9);
        let seen: Vec<u64> = (0..12)
            .filter(|leaves| life.is_seen_as_of(*leaves))
            .collect();
        assert_eq!(seen, [6, 7, 8, 9]);
    }

    #[test]
    fn numbers_of_states_are_their_own() {
        for state in State::ALL {
            assert_eq!(State::of_number(state.number()), Some(state));
        }
        assert_eq!(State::of_number(5), None);
    }
}
