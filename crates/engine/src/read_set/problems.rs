//! What went wrong without hurting the result: counted all, named up to a limit, since a copy can
//! list millions of files that are none.

use parking_lot::Mutex;

/// How many problems are kept as texts.
const NAMED_PROBLEMS: usize = 1000;

/// Problems that several threads find.
#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    named: Vec<String>,
    more: u64,
}

impl Problems {
    /// Notes a problem.
    pub(super) fn note(&self, text: String) {
        let mut found = self.0.lock();
        if found.named.len() < NAMED_PROBLEMS {
            tracing::warn!(problem = text, "Something is wrong with a copy");
            found.named.push(text);
        } else {
            found.more += 1;
        }
    }

    /// All that are named, and how many are not.
    pub(super) fn told(&self) -> Vec<String> {
        let found = self.0.lock();
        let mut told = found.named.clone();
        if found.more > 0 {
            told.push(format!("{} more problems of this kind", found.more));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_all_counted_and_named_up_to_a_limit() {
        let problems = Problems::default();
        problems.note("first".to_owned());
        assert_eq!(problems.told(), ["first"]);
        for number in 0..NAMED_PROBLEMS + 4 {
            problems.note(number.to_string());
        }
        let told = problems.told();
        assert_eq!(told.len(), NAMED_PROBLEMS + 1);
        assert_eq!(told.last().unwrap(), "5 more problems of this kind");
    }
}
