//! Permissions and type as Go's `os.FileMode` writes them, which is how restic stores them.

/// A file mode in Go's bits: <https://pkg.go.dev/io/fs#FileMode>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GoMode(pub u32);

/// Go's bit for each Unix file type.
const KINDS: [(u32, u32); 7] = [
    (0o100_000, 0),
    (0o040_000, 1 << 31),
    (0o120_000, 1 << 27),
    (0o060_000, 1 << 26),
    (0o020_000, (1 << 26) | (1 << 21)),
    (0o010_000, 1 << 25),
    (0o140_000, 1 << 24),
];

/// Go's bits for setuid, setgid and sticky.
const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

impl GoMode {
    /// Translates `st_mode`.
    pub fn from_unix(mode: u32) -> Self {
        let kind = KINDS.iter().find(|(unix, _)| *unix == mode & 0o170_000);
        let special = SPECIAL.iter().filter(|(unix, _)| mode & unix != 0);
        let bits = special.fold(mode & 0o777, |bits, (_, go)| bits | go);
        Self(bits | kind.map_or(1 << 19, |(_, go)| *go))
    }

    /// The bits that `chmod` sets: permissions, setuid, setgid and sticky.
    pub fn permissions(self) -> u32 {
        let special = SPECIAL.iter().filter(|(_, go)| self.0 & go != 0);
        special.fold(self.0 & 0o777, |bits, (unix, _)| bits | unix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_permissions_survive_the_way_to_go_and_back() {
        for (kind, _) in KINDS {
            for permissions in 0..0o10000 {
                let mode = kind | permissions;
                assert_eq!(
                    GoMode::from_unix(mode).permissions(),
                    permissions,
                    "{mode:o}"
                );
            }
        }
    }

    #[test]
    fn modes_are_the_numbers_that_restic_writes() {
        assert_eq!(GoMode::from_unix(0o040_755), GoMode(2_147_484_141));
        assert_eq!(GoMode::from_unix(0o104_755), GoMode(8_389_101));
        assert_eq!(GoMode::from_unix(0o120_777), GoMode(134_218_239));
        assert_eq!(GoMode::from_unix(0o060_644), GoMode(67_109_284));
        assert_eq!(GoMode::from_unix(0o020_644), GoMode(69_206_436));
        assert_eq!(GoMode::from_unix(0o010_644), GoMode(33_554_852));
        assert_eq!(GoMode::from_unix(0o140_755), GoMode(16_777_709));
    }
}
