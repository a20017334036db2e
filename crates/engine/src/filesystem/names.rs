//! The names of users and groups, asked once each.
//!
//! They are asked through the C library, as `ls` does, and not read from `/etc/passwd`: where
//! accounts live in a directory service, names that nobody recorded are missing when the server
//! that knew them is what must be restored.

use std::collections::HashMap;
use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User};
use parking_lot::RwLock;

/// A cache of owners' names, shared by all threads of a backup.
#[derive(Debug, Default)]
pub struct Names {
    users: RwLock<HashMap<u32, Option<Arc<str>>>>,
    groups: RwLock<HashMap<u32, Option<Arc<str>>>>,
}

impl Names {
    /// The user's name; `None` if there is none or it cannot be asked for.
    pub fn user(&self, uid: u32) -> Option<Arc<str>> {
        cached(&self.users, uid, || {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map(|user| user.name)
        })
    }

    /// The group's name; `None` if there is none or it cannot be asked for.
    pub fn group(&self, gid: u32) -> Option<Arc<str>> {
        cached(&self.groups, gid, || {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map(|group| group.name)
        })
    }
}

fn cached(
    cache: &RwLock<HashMap<u32, Option<Arc<str>>>>,
    id: u32,
    ask: impl FnOnce() -> Option<String>,
) -> Option<Arc<str>> {
    if let Some(name) = cache.read().get(&id) {
        return name.clone();
    }
    let name = ask().filter(|name| !name.is_empty()).map(Arc::from);
    cache.write().insert(id, name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_nobody_we_know_has_none() {
        let names = Names::default();
        for _ in 0..2 {
            assert_eq!(names.user(0).as_deref(), Some("root"));
            assert_eq!(names.group(0).as_deref(), Some("root"));
            assert_eq!(names.user(3_999_999_999), None);
            assert_eq!(names.group(3_999_999_999), None);
        }
    }
}
