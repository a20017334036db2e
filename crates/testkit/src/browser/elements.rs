//! What a person does with a page: reads it, clicks, fills in.
//!
//! An action waits a little for its element, and until that can be used. It wants one element: a
//! test that means one of several says which.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::driver::{Refused, as_text};
use crate::browser::{Browser, STEP};

/// How long an action waits for its element, where nothing else was said.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// What WebDriver calls the key that holds an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What may be better a moment later: the page is about to change, or has just changed.
const PASSING: &[&str] = &[
    "detached shadow root",
    "element click intercepted",
    "element not interactable",
    "invalid element state",
    "no such element",
    "stale element reference",
];

/// Finds buttons and links that can be seen, by their text or by what they are labelled with.
const BY_TEXT: &str = "
    const plain = text => (text || '').replace(/\\s+/g, ' ').trim();
    const wanted = plain(arguments[0]);
    const all = document.querySelectorAll(
        'button, a, summary, input[type=submit], input[type=button], [role=button], [role=link]');
    return [...all].filter(one => one.checkVisibility() && [
        one.tagName === 'INPUT' ? one.value : one.innerText, one.getAttribute('aria-label'),
    ].some(text => plain(text) === wanted));";

/// Tells how a control is filled in.
const KIND: &str = "
    const control = arguments[0];
    if (control.tagName === 'SELECT') return 'select';
    if (control.tagName !== 'INPUT') return 'text';
    if (['checkbox', 'radio'].includes(control.type)) return 'tick';
    if (control.type === 'file') return 'file';
    const whole = ['date', 'time', 'datetime-local', 'month', 'week', 'range', 'color'];
    return whole.includes(control.type) ? 'whole' : 'text';";

/// Sets what is not typed letter by letter, as the control itself does.
const SET: &str = "
    const [control, text] = arguments;
    control.value = text;
    for (const name of ['input', 'change']) {
        control.dispatchEvent(new Event(name, {bubbles: true}));
    }
    return control.value;";

/// Chooses an option by its text.
const CHOOSE: &str = "
    const [control, text] = arguments;
    const found = [...control.options].find(one => one.label.trim() === text);
    if (!found) return [...control.options].map(one => one.label.trim()).join(', ');
    control.value = found.value;
    for (const name of ['input', 'change']) {
        control.dispatchEvent(new Event(name, {bubbles: true}));
    }
    return null;";

impl Browser {
    /// Whether there is an element for a CSS selector now.
    ///
    /// # Panics
    /// Where the selector is none.
    #[track_caller]
    pub fn exists(&self, css: &str) -> bool {
        !self
            .done(&format!("Looking for `{css}`"), self.all(css))
            .is_empty()
    }

    /// The text of an element that can be seen.
    ///
    /// # Panics
    /// Where there is none, or are several.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let text = self.act(
            &format!("Reading `{css}`"),
            || self.one(css),
            |element| self.driver.get(&format!("/element/{element}/text")),
        );
        as_text(Some(&text))
    }

    /// The texts of all elements, which may be none.
    ///
    /// # Panics
    /// Where the selector is none.
    #[track_caller]
    pub fn texts(&self, css: &str) -> Vec<String> {
        // In one step, so that no page comes in between.
        let script = "return [...document.querySelectorAll(arguments[0])]
                      .map(one => one.innerText.trim())";
        let texts = self.execute_on(script, json!([css]));
        let texts = texts.as_array().map(Vec::as_slice).unwrap_or_default();
        texts.iter().map(|text| as_text(Some(text))).collect()
    }

    /// An attribute of an element, or what a control holds now where that is asked for as `value`.
    ///
    /// # Panics
    /// Where there is no such element, or are several.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let script = "
            const [element, name] = arguments;
            return name === 'value' && name in element ? element.value : element.getAttribute(name)";
        let value = self.act(
            &format!("Reading {name} of `{css}`"),
            || self.one(css),
            |element| self.try_execute(script, json!([reference(element), name])),
        );
        (!value.is_null()).then(|| as_text(Some(&value)))
    }

    /// Clicks an element.
    ///
    /// # Panics
    /// Where there is none that can be clicked, or are several.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.act(
            &format!("Clicking `{css}`"),
            || self.one(css),
            |element| self.click_element(element),
        );
    }

    /// Clicks a button or a link, by its whole text.
    ///
    /// # Panics
    /// Where there is none that can be seen, or are several.
    #[track_caller]
    pub fn click_text(&self, text: &str) {
        self.act(
            &format!("Clicking the button or link {text:?}"),
            || only(ids(&self.try_execute(BY_TEXT, json!([text]))?)),
            |element| self.click_element(element),
        );
    }

    /// Fills in a control: types a text in place of what was there, names a file, or chooses the
    /// option of that text. Dates and times are as in HTML: `2026-01-31`.
    ///
    /// # Panics
    /// Where there is none that can be filled in, or are several.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        self.act(
            &format!("Filling in `{css}`"),
            || self.one(css),
            |element| self.enter(element, text),
        );
    }

    /// Fills in the control with this label, which is what is read out of it; as [`Browser::fill`].
    ///
    /// # Panics
    /// As [`Browser::fill`].
    #[track_caller]
    pub fn fill_label(&self, label: &str, text: &str) {
        self.act(
            &format!("Filling in the field {label:?}"),
            || self.labelled(label),
            |element| self.enter(element, text),
        );
    }

    /// Clicks the control with this label, as a box that is ticked.
    ///
    /// # Panics
    /// Where there is none that can be clicked, or are several.
    #[track_caller]
    pub fn click_label(&self, label: &str) {
        self.act(
            &format!("Clicking the control {label:?}"),
            || self.labelled(label),
            |element| self.click_element(element),
        );
    }

    /// Sends the form that an element is, or belongs to, as its button would.
    ///
    /// # Panics
    /// Where there is none, or are several.
    #[track_caller]
    pub fn submit(&self, css: &str) {
        let script = "
            const form = arguments[0].closest('form');
            if (form) form.requestSubmit();
            return form !== null";
        let sent = self.act(
            &format!("Submitting `{css}`"),
            || self.one(css),
            |element| self.try_execute(script, json!([reference(element)])),
        );
        if sent != Value::Bool(true) {
            self.fail(&format!("Submitting `{css}`"), "it belongs to no form");
        }
    }

    /// Presses keys where the focus is; those of no letter are WebDriver's, as `\u{E004}` for Tab and
    /// `\u{E007}` for Enter.
    ///
    /// # Panics
    /// Where nothing has the focus.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.act(
            &format!("Pressing {keys:?}"),
            || {
                let active = self.driver.get("/element/active")?;
                only(ids(&json!([active])))
            },
            |element| self.send(element, keys),
        );
    }

    fn click_element(&self, element: &str) -> Result<Value, Refused> {
        let path = format!("/element/{element}/click");
        self.driver.post(&path, &json!({}))
    }

    fn send(&self, element: &str, keys: &str) -> Result<Value, Refused> {
        let path = format!("/element/{element}/value");
        self.driver.post(&path, &json!({"text": keys}))
    }

    fn enter(&self, element: &str, text: &str) -> Result<Value, Refused> {
        let both = json!([reference(element), text]);
        let kind = as_text(Some(&self.try_execute(KIND, both.clone())?));
        match kind.as_str() {
            "select" => match self.try_execute(CHOOSE, both)? {
                Value::Null => Ok(Value::Null),
                options => Err(wrong(format!(
                    "it has no option {text:?} but these: {}",
                    as_text(Some(&options))
                ))),
            },
            "tick" => Err(wrong("it is ticked, not filled in".to_owned())),
            "whole" => match self.try_execute(SET, both)? {
                Value::String(set) if set == text => Ok(Value::Null),
                set => Err(wrong(format!("it takes no {text:?}, and made {set} of it"))),
            },
            "file" => self.send(element, text),
            _ => {
                self.driver
                    .post(&format!("/element/{element}/clear"), &json!({}))?;
                self.send(element, text)
            }
        }
    }

    /// The ids of all elements for a CSS selector.
    fn all(&self, css: &str) -> Result<Vec<String>, Refused> {
        let by = json!({"using": "css selector", "value": css});
        Ok(ids(&self.driver.post("/elements", &by)?))
    }

    fn one(&self, css: &str) -> Result<String, Refused> {
        only(self.all(css)?)
    }

    /// The one control of which this is read out.
    fn labelled(&self, label: &str) -> Result<String, Refused> {
        let mut labels = Vec::new();
        let mut found = Vec::new();
        for element in self.all("input:not([type=hidden]), select, textarea")? {
            let path = format!("/element/{element}/computedlabel");
            let its = as_text(Some(&self.driver.get(&path)?));
            if its.trim() == label {
                found.push(element);
            }
            labels.push(its);
        }
        only(found).map_err(|refused| Refused {
            message: format!("{}; the fields here are {labels:?}", refused.message),
            ..refused
        })
    }

    /// Finds an element and does something with it, again and again as long as what is in the way may
    /// pass.
    #[track_caller]
    fn act<T>(
        &self,
        what: &str,
        find: impl Fn() -> Result<String, Refused>,
        act: impl Fn(&str) -> Result<T, Refused>,
    ) -> T {
        let (start, patience) = (Instant::now(), *self.patience.lock());
        loop {
            match find().and_then(|element| act(&element)) {
                Ok(done) => return done,
                Err(refused)
                    if start.elapsed() > patience || !PASSING.contains(&&*refused.error) =>
                {
                    self.fail(what, refused)
                }
                Err(_) => thread::park_timeout(STEP),
            }
        }
    }
}

/// An element as an argument of a script.
fn reference(element: &str) -> Value {
    json!({ELEMENT: element})
}

/// The ids in a list of elements.
fn ids(elements: &Value) -> Vec<String> {
    let elements = elements.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids = elements.iter().filter_map(|one| one.get(ELEMENT));
    ids.map(|id| as_text(Some(id))).collect()
}

fn only(mut found: Vec<String>) -> Result<String, Refused> {
    match found.len() {
        0 => Err(Refused {
            error: "no such element".to_owned(),
            message: "there is none".to_owned(),
        }),
        1 => Ok(found.remove(0)),
        // A page that is about to change may have both.
        several => Err(Refused {
            error: "no such element".to_owned(),
            message: format!("there are {several} of it, and one is meant"),
        }),
    }
}

fn wrong(message: String) -> Refused {
    Refused {
        error: "not of this kind".to_owned(),
        message,
    }
}
