//! A vault with its pages on a free port of loopback, whose clocks a test moves, and people with
//! browsers of their own.

use std::sync::Arc;
use std::time::Duration;

use strongroom_access::forward::Rule;
use strongroom_model::Secret;
use strongroom_testkit::{Authenticator, Browser};
use strongroom_vault::passkeys::Passkeys;
use strongroom_vault::people::People;
use strongroom_vault::publication::Publisher;

use crate::forward::gate::{Served, publisher, serves};
use crate::vault::scene::Scene;

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A vault that is served.
pub(crate) struct Office {
    pub(crate) scene: Scene,
    pub(crate) people: Arc<People>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) origin: String,
    _served: Served,
}

/// A person with a browser.
pub(crate) struct Person {
    pub(crate) browser: Browser,
    _authenticator: Authenticator,
}

impl Office {
    pub(crate) fn open() -> Self {
        Self::protecting(|_| Vec::new())
    }

    /// With rules of whom proxies let in where, made when the port is known.
    pub(crate) fn protecting(rules: impl FnOnce(u16) -> Vec<Rule>) -> Self {
        let scene = Scene::new();
        let mut made = None;
        let served = serves(|port| {
            let rules = rules(port);
            let origin = format!("http://localhost:{port}");
            let passkeys = Passkeys::new(&origin.parse().unwrap()).unwrap();
            let key = Secret::new("a key of the folder of keys");
            let people = People::new(scene.vault.clone(), Some(passkeys), key);
            let people = Arc::new(people.protecting(rules.clone()));
            let publisher = publisher(&scene);
            made = Some((Arc::clone(&people), Arc::clone(&publisher), origin));
            (people, publisher, rules)
        });
        let (people, publisher, origin) = made.unwrap();
        Self {
            scene,
            people,
            publisher,
            origin,
            _served: served,
        }
    }

    pub(crate) fn person(&self) -> Person {
        let browser = Browser::start();
        let authenticator = Authenticator::add(&browser);
        Person {
            browser,
            _authenticator: authenticator,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The first operator comes by the link of the terminal.
    pub(super) fn first(&self, name: &str) -> Person {
        let link = self.people.first_link().unwrap();
        let link = self.url(&format!("/-/join/{}", link.reveal()));
        let person = self.person();
        person.browser.goto(&link);
        let browser = &person.browser;
        browser.fill_label("How do you want to be called?", name);
        browser.click_text("Go on");
        browser.wait_for_text("You need two factors", PATIENCE);
        self.joins(&person, &link);
        person
    }

    /// Somebody comes by a link, and enrols a passkey, and a password with codes.
    pub(crate) fn joins(&self, person: &Person, link: &str) {
        let browser = &person.browser;
        browser.goto(link);
        browser.fill_label("What do you call it?", "the key on my ring");
        browser.click_text("Enrol a passkey");
        browser.wait_for_text("Another passkey", PATIENCE);
        browser.click_text("Set a password");
        browser.wait_for_text("Your application for codes", PATIENCE);
        let secret = Secret::new(browser.text("form p code"));
        let (code, _) = crate::people::scene::code(&secret, self.wall_s());
        browser.fill_label("The code that it shows now", &code);
        browser.fill_label("At least 12 characters", "correct horse battery");
        browser.click_text("Enrol both");
        browser.wait_for_text("Recovery codes", PATIENCE);
        browser.click_text("I have kept them: sign in");
        self.signs_in(person);
    }

    pub(crate) fn signs_in(&self, person: &Person) {
        let browser = &person.browser;
        browser.goto(&self.url("/-/sign-in"));
        browser.click_text("Sign in with a passkey");
        browser.wait_for_text("Overview", PATIENCE);
    }

    fn wall_s(&self) -> u64 {
        u64::try_from(self.scene.clocks.lock().wall_ms / 1000).unwrap()
    }
}
