//! Whose account the vault runs in: what the provider's instance metadata says, or else what its
//! configuration declares. And in whose its objects lie, where that is a bucket: what the bucket
//! tells of its owner.
//!
//! A vault inside production's account falls with production, whatever it is called, and so does
//! one elsewhere whose bucket is in it; so clients are told both, and compare. This finds an honest
//! mistake. It proves nothing: whoever rules the machine, or its network, can answer for the
//! provider.

use std::sync::Arc;

use parking_lot::RwLock;
use strongroom_model::Account;
use strongroom_model::vault::{KnownBy, MOST_OBJECT_ACCOUNTS, RunsIn};
use strongroom_store::place::account::Metadata;

/// Where the vault runs, and where its objects lie, as it was last found out. Clones are the same.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    declared: Option<Account>,
    found: Arc<RwLock<Option<Account>>>,
    objects: Arc<RwLock<Vec<Account>>>,
}

impl Whereabouts {
    /// Knows no more than what the configuration declares.
    pub fn declared(declared: Option<Account>) -> Self {
        Self {
            declared,
            found: Arc::default(),
            objects: Arc::default(),
        }
    }

    /// What is known: the provider's word before the declared one.
    pub fn known(&self) -> Option<RunsIn> {
        let known = |account: &Account, by| RunsIn {
            account: account.clone(),
            by,
        };
        let found = self.found.read();
        let found = found.as_ref().map(|it| known(it, KnownBy::Metadata));
        found.or_else(|| {
            let declared = self.declared.as_ref();
            declared.map(|it| known(it, KnownBy::Declared))
        })
    }

    /// Asks the providers; blocks. An account that was found stays known when nobody answers later.
    pub fn ask(&self, metadata: &Metadata) {
        let Some(account) = metadata.account() else {
            return;
        };
        let mut found = self.found.write();
        if found.as_ref() == Some(&account) {
            return;
        }
        match &self.declared {
            Some(declared) if !declared.may_be(&account) => tracing::warn!(
                %account,
                %declared,
                "The vault runs in another account than vault.toml says in runs_in"
            ),
            _ => tracing::info!(%account, "The vault runs in this account"),
        }
        *found = Some(account);
    }

    /// The accounts in which the objects lie, by all names that the storage has told of them.
    pub fn objects_in(&self) -> Vec<Account> {
        self.objects.read().clone()
    }

    /// Takes what the storage tells of whose it is. What it has told once stays told when it says
    /// nothing later, or less: too many names can only make more count as one.
    pub fn told_of_objects(&self, told: Vec<Account>) {
        let mut objects = self.objects.write();
        for account in told {
            if objects.len() < MOST_OBJECT_ACCOUNTS && !objects.contains(&account) {
                tracing::info!(%account, "The objects of the vault lie in this account");
                objects.push(account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn google(base: String) -> Metadata {
        Metadata {
            aws: None,
            gcp: Some(base),
            azure: None,
        }
    }

    /// Answers one request as Google's metadata server does.
    fn answer_once() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nconnection: close\r\n\
                          content-length: 10\r\n\r\nmy-project";
            stream.write_all(answer.as_bytes()).unwrap();
        });
        base
    }

    #[test]
    fn what_was_found_goes_before_what_is_declared_and_stays() {
        let whereabouts = Whereabouts::declared(Some("my-other".parse().unwrap()));
        let declared = whereabouts.known().unwrap();
        assert_eq!(declared.by, KnownBy::Declared);
        assert_eq!(declared.account.to_string(), "my-other");
        whereabouts.ask(&google(answer_once()));
        let found = whereabouts.known().unwrap();
        assert_eq!(found.by, KnownBy::Metadata);
        assert_eq!(found.account.to_string(), "gcp:my-project");
        // Nobody listens there.
        whereabouts.ask(&google("http://127.0.0.1:1".to_owned()));
        assert_eq!(whereabouts.known(), Some(found));
        assert_eq!(Whereabouts::declared(None).known(), None);
    }

    #[test]
    fn where_the_objects_lie_stays_known_and_never_grows_long() {
        let account = |text: &str| -> Account { text.parse().unwrap() };
        let both = [account("aws:123456789012"), account("aws-owner:aa")];
        let whereabouts = Whereabouts::declared(None);
        assert!(whereabouts.objects_in().is_empty());
        for told in [&both[1..], &both[..], &both[..0]] {
            whereabouts.told_of_objects(told.to_vec());
        }
        let [first, second] = both;
        let expected = [second, first];
        assert_eq!(whereabouts.objects_in(), expected);
        let many = (0..100).map(|number| account(&format!("aws:{number}")));
        whereabouts.told_of_objects(many.collect());
        let objects = whereabouts.clone().objects_in();
        assert_eq!(objects.len(), MOST_OBJECT_ACCOUNTS);
        assert_eq!(objects[..2], expected);
    }
}
