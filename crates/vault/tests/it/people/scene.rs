//! A vault with operators.

use std::cell::RefCell;
use std::sync::Arc;

use strongroom_access::forward::Rule;
use strongroom_access::{Act, OperatorId, Role, Roles};
use strongroom_model::{Name, Secret};
use strongroom_vault::Result;
use strongroom_vault::passkeys::Passkeys;
use strongroom_vault::people::{
    Browser, Cookies, Done, Enrolling, Joined, Joining, NewFactor, People, Performed, Who,
};
use totp_rs::{Algorithm, Builder};

use crate::people::device::Device;
use crate::vault::scene::Scene;

pub(crate) const ORIGIN: &str = "http://localhost:8000";

/// What every password is here.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A person.
pub(crate) struct Person {
    pub(crate) id: OperatorId,
    pub(crate) device: Device,
    /// His application for codes has this secret, in base32.
    pub(crate) totp: Secret,
    pub(crate) joined: Joined,
    /// The step of the last code that he has used.
    used_step: RefCell<u64>,
}

/// A vault and its people.
pub(crate) struct Office {
    pub(crate) scene: Scene,
    pub(crate) people: Arc<People>,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::protecting(Vec::new())
    }

    /// With rules of whom proxies let in where.
    pub(crate) fn protecting(rules: Vec<Rule>) -> Self {
        let scene = Scene::new();
        let url = "http://localhost:8000".parse().unwrap();
        let passkeys = Passkeys::new(&url).unwrap();
        let key = Secret::new("a key of the folder of keys, 32 bytes");
        let people = People::new(scene.vault.clone(), Some(passkeys), key);
        let people = Arc::new(people.protecting(rules));
        Self { scene, people }
    }

    /// The first operator, who has come by the link of the terminal.
    pub(crate) fn first(&self, name: &'static str) -> Person {
        let link = self.people.first_link().unwrap();
        let given: Name = name.parse().unwrap();
        assert!(matches!(
            self.people.joining(link.reveal()).unwrap(),
            Joining::Name
        ));
        self.people.claim(link.reveal(), &given).unwrap();
        self.join(name, link.reveal())
    }

    /// Whoever was invited enrols a passkey, and a password with TOTP.
    pub(crate) fn join(&self, name: &'static str, link: &str) -> Person {
        let Joining::Enrol(operator) = self.people.joining(link).unwrap() else {
            panic!("{name} is asked for a name");
        };
        let (device, by_link) = (Device::new(), Enrolling::Link(link));
        let (handle, options) = self.people.ask_for_passkey(by_link).unwrap();
        let answer = device.enrol(ORIGIN, options);
        let passkey = NewFactor::Passkey(&answer);
        let none = self
            .people
            .enrol(by_link, handle.reveal(), &passkey, "a key")
            .unwrap();
        assert!(none.is_none(), "one factor is enough");
        let (handle, secret, _) = self.people.prepare_password(by_link).unwrap();
        let (code, step) = code(&secret, self.wall_s());
        let password = Secret::new(PASSWORD);
        let new = NewFactor::Password(&password, &code);
        let joined = self
            .people
            .enrol(by_link, handle.reveal(), &new, "a password");
        Person {
            id: operator.id,
            device,
            totp: secret,
            joined: joined.unwrap().unwrap(),
            used_step: RefCell::new(step),
        }
    }

    pub(crate) fn wall_s(&self) -> u64 {
        u64::try_from(self.scene.clocks.lock().wall_ms / 1000).unwrap()
    }

    /// Somebody shows his passkey for an act.
    pub(crate) fn shows(&self, person: &Person, act: &Act) -> Who {
        let (handle, options) = self.people.ask_to_show(person.id, act).unwrap();
        let answer = person.device.sign(ORIGIN, options).unwrap();
        self.people
            .shown(person.id, act, handle.reveal(), &answer)
            .unwrap()
    }

    /// In set-up the first operator invites somebody, who comes.
    pub(crate) fn invites(&self, first: &Person, name: &'static str, roles: Roles) -> Person {
        let act = Act::AddOperator {
            name: name.parse().unwrap(),
            roles,
        };
        let who = self.shows(first, &act);
        let Done::Link(link) = self.people.act(who, &act).unwrap() else {
            panic!("an invitation without a link");
        };
        self.join(name, link.reveal())
    }

    /// Three security operators, and set-up is over.
    pub(crate) fn three(&self) -> [Person; 3] {
        let anna = self.first("anna");
        let bert = self.invites(&anna, "bert", Roles::ALL);
        let cleo = self.invites(&anna, "cleo", Roles::NONE.with(Role::Security));
        self.people.close_setup(anna.id).unwrap();
        [anna, bert, cleo]
    }

    /// Somebody signs in with his passkey, and acts.
    pub(crate) fn signs_in(&self, person: &Person) -> Who {
        let cookies = self.cookies(person);
        let session = self.people.session(cookies.session.reveal()).unwrap();
        session.unwrap().who()
    }

    /// What he gets who signs in with his passkey.
    pub(crate) fn cookies(&self, person: &Person) -> Cookies {
        let (handle, options) = self.people.ask_who().unwrap();
        let answer = person.device.sign(ORIGIN, options).unwrap();
        let browser = Browser::default();
        let cookies = self
            .people
            .sign_in(handle.reveal(), &answer, &browser)
            .unwrap();
        assert_eq!(cookies.operator, person.id);
        cookies
    }

    /// Somebody says yes to an operation.
    pub(crate) fn says_yes(&self, person: &Person, number: u64) -> Result<()> {
        let (handle, options) = self.people.ask_for_yes(person.id, number)?;
        let answer = person.device.sign(ORIGIN, options).unwrap();
        self.people
            .say_yes(person.id, number, handle.reveal(), &answer)
            .map(drop)
    }

    /// A code that counts once more: time goes on until there is a new one.
    pub(crate) fn new_code(&self, person: &Person) -> String {
        loop {
            let (code, step) = code(&person.totp, self.wall_s());
            if step > *person.used_step.borrow() {
                *person.used_step.borrow_mut() = step;
                return code;
            }
            self.scene.pass(10_000);
        }
    }

    /// Does an operation of which nothing is shown.
    pub(crate) fn performs(&self, number: u64) -> Performed {
        self.people.perform(number, None).unwrap()
    }
}

/// The code of a moment, and its step.
pub(crate) fn code(secret: &Secret, wall_s: u64) -> (String, u64) {
    let bytes = data_encoding::BASE32_NOPAD
        .decode(secret.expose().as_bytes())
        .unwrap();
    let bytes = <[u8; 20]>::try_from(bytes).unwrap();
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_secret(bytes)
        .build()
        .unwrap();
    (totp.generate(wall_s).to_string(), wall_s / 30)
}
