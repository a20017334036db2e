//! A vault with its pages on a free port of loopback, whose clocks a test moves, and people with
//! browsers of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use strongroom_model::Secret;
use strongroom_testkit::{Authenticator, Browser};
use strongroom_vault::http::console::Parts;
use strongroom_vault::http::metrics::Metrics;
use strongroom_vault::http::{
    Answering, Blocking, Console, Handler, HttpMetrics, Limits, Peer, Request, Serving, Stopper,
    bind, serve, simple,
};
use strongroom_vault::passkeys::Passkeys;
use strongroom_vault::people::People;
use strongroom_vault::publication::{LogFolder, Publisher};
use strongroom_vault::rules::clock::DAY_MS;
use strongroom_vault::vault::Channels;
use tokio::runtime::{Builder, Runtime};

use crate::vault::scene::Scene;

/// Nothing in these tests takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

struct Pages(Console);

impl Handler for Pages {
    fn handle(self: Arc<Self>, request: Request, peer: Peer) -> Answering<'static> {
        Box::pin(async move {
            let answer = self.0.answer(request, &peer).await;
            answer.unwrap_or_else(|_| simple(StatusCode::NOT_FOUND, "nothing"))
        })
    }
}

/// A vault that is served.
pub(super) struct Office {
    pub(super) scene: Scene,
    pub(super) people: Arc<People>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) origin: String,
    _stopper: Stopper,
    _runtime: Runtime,
}

/// A person with a browser.
pub(super) struct Person {
    pub(super) browser: Browser,
    _authenticator: Authenticator,
}

impl Office {
    pub(super) fn open() -> Self {
        let scene = Scene::new();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let origin = format!("http://localhost:{port}");
        let passkeys = Passkeys::new(&origin.parse().unwrap()).unwrap();
        let key = Secret::new("a key of the folder of keys");
        let people = People::new(scene.vault.clone(), Some(passkeys), key);
        let people = Arc::new(people);
        let files = LogFolder::open(scene.folder.path().join("log")).unwrap();
        let keys = scene.folder.path().join("keys");
        let publisher = Publisher::open(scene.vault.clone(), Arc::new(files), &keys);
        let publisher = Arc::new(publisher.unwrap());
        let console = Console::new(Parts {
            people: Arc::clone(&people),
            publisher: Arc::clone(&publisher),
            blocking: Blocking::new(8),
            verify_every_ms: 7 * DAY_MS,
            channels: Channels::of(&[]),
        });
        let serving = Serving {
            limits: Limits::default(),
            certificates: None,
            metrics: Arc::new(HttpMetrics::new(&Metrics::new())),
        };
        let (stopper, stop) = Stopper::new();
        drop(entered);
        let pages = Arc::new(Pages(console));
        runtime.spawn(async move { serve(serving, vec![listener], pages, stop).await });
        Self {
            scene,
            people,
            publisher,
            origin,
            _stopper: stopper,
            _runtime: runtime,
        }
    }

    pub(super) fn person(&self) -> Person {
        let browser = Browser::start();
        let authenticator = Authenticator::add(&browser);
        Person {
            browser,
            _authenticator: authenticator,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
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
    pub(super) fn joins(&self, person: &Person, link: &str) {
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

    pub(super) fn signs_in(&self, person: &Person) {
        let browser = &person.browser;
        browser.goto(&self.url("/-/sign-in"));
        browser.click_text("Sign in with a passkey");
        browser.wait_for_text("Overview", PATIENCE);
    }

    fn wall_s(&self) -> u64 {
        u64::try_from(self.scene.clocks.lock().wall_ms / 1000).unwrap()
    }
}
