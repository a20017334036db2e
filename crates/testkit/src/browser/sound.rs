//! What must hold for every page: it can be seen on every screen and used by everybody, and nothing
//! goes wrong in it.

use crate::browser::looks::picture_path;
use crate::browser::{Browser, Violation};

/// How wide the page is, and how wide what is in it.
const WIDTHS: &str = "const page = document.documentElement;
    return [page.clientWidth, Math.max(page.scrollWidth, document.body?.scrollWidth ?? 0)]";

impl Browser {
    /// Takes the pictures of [`Browser::shoot_all`], and fails where there are errors in the console
    /// since those were asked for last, axe-core finds something serious or critical on any of the
    /// screens in either scheme, or the page is wider than the screen.
    ///
    /// A page whose own answer is a refusal may be sound: that it is one is no error of its console.
    ///
    /// # Panics
    /// Where something of this does not hold; everything that does not is named.
    #[track_caller]
    pub fn assert_sound(&self, name: &str) {
        let refusal = format!("network: {} - ", self.url());
        let errors = self.console_errors().into_iter();
        let mut wrong: Vec<_> = errors
            .filter(|error| !error.starts_with(&refusal))
            .collect();
        let mut seen: Vec<(String, Vec<String>)> = Vec::new();
        self.in_all_looks(|looks| {
            let place = format!("{} px {}", looks.width, looks.scheme.name());
            self.screenshot(&picture_path(name, looks));
            for fault in self.faults(looks.width) {
                match seen.iter_mut().find(|(known, _)| *known == fault) {
                    Some((_, places)) => places.push(place.clone()),
                    None => seen.push((fault, vec![place.clone()])),
                }
            }
        });
        let seen = seen.into_iter();
        wrong.extend(seen.map(|(fault, places)| format!("{}: {fault}", places.join(", "))));
        wrong.extend(self.console_errors());
        if !wrong.is_empty() {
            let wrong = wrong.join("\n  ");
            self.fail(&format!("Being sound as {name:?}"), format!("\n  {wrong}"));
        }
    }

    /// What is wrong with the page as it is shown now, on a screen of this width in pixels.
    #[track_caller]
    fn faults(&self, width: u32) -> Vec<String> {
        let widths = self.execute(WIDTHS);
        let [page, content] = [0, 1].map(|at| widths[at].as_u64().unwrap_or_default());
        let mut faults = Vec::new();
        if page != u64::from(width) {
            faults.push(format!(
                "it is shown as if the screen had {page} px: it needs a \
                 <meta name=viewport content=\"width=device-width\">"
            ));
        }
        if content > page {
            faults.push(format!("it is {content} px wide, and has to be scrolled"));
        }
        let serious = self.axe().into_iter().filter(Violation::is_serious);
        faults.extend(serious.map(|found| {
            let nodes = found.nodes.join("\n    ");
            format!(
                "{} ({}): {}\n    {nodes}",
                found.id, found.impact, found.help
            )
        }));
        faults
    }
}
