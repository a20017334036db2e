//! Which of many inputs are worth keeping.
//!
//! libFuzzer's own merge keeps every input that reaches any new edge, which is hundreds for each
//! target. A corpus that people look at holds the few that reach the most; so only what libFuzzer
//! notes while it merges is used. Its control file is the number of inputs, the number of those
//! that are in the first folder, their paths, and then for each `FT <number> <features…>`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Larger inputs would crowd the others out of the corpus.
const SIZE_LIMIT_BYTES: u64 = 1 << 10;

/// An input and what it reaches.
struct Input {
    path: PathBuf,
    features: BTreeSet<u32>,
}

/// Chooses at most `count` inputs outside `corpus`, each time the one that adds the most to what
/// the corpus and those chosen before reach.
pub(super) fn choose(control: &str, corpus: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let (kept, mut others): (Vec<Input>, Vec<Input>) = read(control)?
        .into_iter()
        .partition(|input| input.path.starts_with(corpus));
    let mut reached: BTreeSet<u32> = kept.into_iter().flat_map(|input| input.features).collect();
    others.retain(|input| fs::metadata(&input.path).is_ok_and(|m| m.len() <= SIZE_LIMIT_BYTES));
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let gain = |input: &Input| input.features.difference(&reached).count();
        let Some((gain, position)) = (0..).zip(&others).map(|(at, one)| (gain(one), at)).max()
        else {
            break;
        };
        if gain == 0 {
            break;
        }
        let best = others.swap_remove(position);
        reached.extend(best.features);
        chosen.push(best.path);
    }
    Ok(chosen)
}

fn read(control: &str) -> Result<Vec<Input>> {
    let mut lines = control.lines();
    let count: usize = lines.next().context("An empty control file")?.parse()?;
    lines.next();
    let mut inputs: Vec<Input> = lines
        .by_ref()
        .take(count)
        .map(|path| Input {
            path: path.into(),
            features: BTreeSet::new(),
        })
        .collect();
    for line in lines {
        let mut words = line.split(' ');
        if words.next() == Some("FT") {
            let number: usize = words.next().context("FT without a number")?.parse()?;
            let input = inputs.get_mut(number).context("FT of no input")?;
            for feature in words {
                input.features.insert(feature.parse()?);
            }
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inputs_that_add_the_most_are_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = folder.path().join("corpus");
        let path = |name: &str| folder.path().join(name);
        for name in ["little", "known", "much"] {
            fs::write(path(name), name).unwrap();
        }
        fs::write(path("large"), [0; 2000]).unwrap();
        let paths = [
            corpus.join("seed"),
            path("little"),
            path("known"),
            path("much"),
            path("large"),
        ];
        let paths = paths.map(|path| path.display().to_string()).join("\n");
        let control = format!(
            "5\n0\n{paths}\nSTARTED 0 4\nFT 0 1 2\nCOV 0 1\nFT 1 2 3\nFT 2 1 2\nFT 3 3 4 5\n\
             FT 4 6 7 8 9\n"
        );
        assert_eq!(choose(&control, &corpus, 9).unwrap(), [path("much")]);
        let control = control.replace("FT 1 2 3", "FT 1 2 6");
        let expected = [path("much"), path("little")];
        assert_eq!(choose(&control, &corpus, 9).unwrap(), expected);
        assert_eq!(choose(&control, &corpus, 1).unwrap(), [path("much")]);
    }
}
