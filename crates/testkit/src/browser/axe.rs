//! axe-core: what keeps people from using a page who do not see it, or not well, or use no mouse.
//!
//! It runs beside the page's own scripts and not among them, so that neither sees the other and no
//! content security policy has to let it in.

use std::fs;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::browser::driver::{Refused, as_text};
use crate::programs::axe_core;

/// The library, read once.
static AXE: LazyLock<String> =
    LazyLock::new(|| fs::read_to_string(axe_core()).expect("axe-core is text"));

/// What is asked of it: only what is wrong, and it loads nothing of its own.
const RUN: &str = "axe.run(document, {resultTypes: ['violations'], preload: false})
    .then(found => found.violations)";

/// A rule that a page breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name, as `label`.
    pub id: String,
    /// `minor`, `moderate`, `serious` or `critical`.
    pub impact: String,
    /// What the rule wants.
    pub help: String,
    /// Where it is broken: the CSS selectors of elements, and what is wrong with each.
    pub nodes: Vec<String>,
}

impl Violation {
    /// Whether somebody cannot use the page for it.
    pub fn is_serious(&self) -> bool {
        // What has no weight is not known to be light.
        !matches!(&*self.impact, "minor" | "moderate")
    }

    fn read(told: &Value) -> Self {
        let nodes = told.get("nodes").and_then(Value::as_array);
        Self {
            id: as_text(told.get("id")),
            impact: as_text(told.get("impact")),
            help: as_text(told.get("help")),
            nodes: nodes.into_iter().flatten().map(read_node).collect(),
        }
    }
}

fn read_node(node: &Value) -> String {
    let target = node.get("target").and_then(Value::as_array);
    let target = target.and_then(|path| path.last());
    let summary = as_text(node.get("failureSummary"));
    let summary: Vec<_> = summary.lines().map(str::trim).collect();
    format!("{}: {}", as_text(target), summary.join(" "))
}

impl Browser {
    /// What axe-core finds wrong with the page as it is shown now.
    ///
    /// # Panics
    /// Where axe-core is missing, or cannot run.
    #[track_caller]
    pub fn axe(&self) -> Vec<Violation> {
        let found = self.done("Running axe-core", self.run_axe());
        let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
        found.iter().map(Violation::read).collect()
    }

    fn run_axe(&self) -> Result<Value, Refused> {
        let tree = self.driver.devtools("Page.getFrameTree", &json!({}))?;
        let frame = tree.pointer("/frameTree/frame/id");
        let beside = json!({"frameId": frame, "worldName": "axe-core"});
        let world = self.driver.devtools("Page.createIsolatedWorld", &beside)?;
        let world = world.get("executionContextId");
        self.driver.evaluate(&format!("{};null", *AXE), world)?;
        self.driver.evaluate(RUN, world)
    }
}
