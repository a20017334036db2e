//! Variables in strings: `${NAME}` and `$$`.
//!
//! The values are mostly secrets; they leave this file only inside the result, never in an error.

use zeroize::Zeroizing;

/// Why a string cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A `$` that starts neither `${NAME}` nor `$$`.
    Lone,
    /// A `${` without a name and a `}`.
    Open,
    /// The variable is not set, or empty.
    Unset(String),
}

/// Replaces the variables of `text`; `encode` is applied to each value with the place in `text`
/// where its variable stands.
pub(super) fn expand(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    encode: impl Fn(usize, String) -> String,
) -> Result<Zeroizing<String>, Fault> {
    let mut expanded = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let place = text.len() - after.len() - 1;
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let Some(after) = after.strip_prefix('{') else {
            return Err(Fault::Lone);
        };
        let (name, after) = after.split_once('}').ok_or(Fault::Open)?;
        if !is_variable(name) {
            return Err(Fault::Open);
        }
        let value = environment(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Fault::Unset(name.to_owned()))?;
        expanded.push_str(&Zeroizing::new(encode(place, value)));
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str) -> Result<String, Fault> {
        let environment = |name: &str| match name {
            "A" => Some("alpha".to_owned()),
            "NESTED" => Some("${A} $$".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, &environment, |_, value| value).map(|text| text.to_string())
    }

    #[test]
    fn variables_are_replaced_once() {
        assert_eq!(expanded("x${A}y${A}").as_deref(), Ok("xalphayalpha"));
        assert_eq!(expanded("${NESTED}").as_deref(), Ok("${A} $$"));
        assert_eq!(expanded("$$A $${A}").as_deref(), Ok("$A ${A}"));
    }

    #[test]
    fn what_is_not_a_variable_is_refused() {
        assert_eq!(expanded("$A"), Err(Fault::Lone));
        assert_eq!(expanded("cost: 5$"), Err(Fault::Lone));
        assert_eq!(expanded("${A"), Err(Fault::Open));
        assert_eq!(expanded("${}"), Err(Fault::Open));
        assert_eq!(expanded("${A:-x}"), Err(Fault::Open));
        assert_eq!(expanded("${B}"), Err(Fault::Unset("B".to_owned())));
        assert_eq!(expanded("${EMPTY}"), Err(Fault::Unset("EMPTY".to_owned())));
    }

    proptest! {
        #[test]
        fn a_text_with_its_dollars_doubled_means_itself(text in "(\\PC|\\$|\\{|\\})*") {
            prop_assert_eq!(expanded(&text.replace('$', "$$")), Ok(text));
        }

        #[test]
        fn no_text_panics(text in "(\\PC|\\$|\\{|\\}|A)*") {
            let _ = expanded(&text);
        }
    }
}
