//! Which storage lies behind a folder, by `/proc/self/mountinfo`.
//!
//! For most filesystems `st_dev` tells. But each subvolume of a btrfs and each dataset of a ZFS pool
//! has an `st_dev` of its own, on the same disks: two copies there would seem to be on two devices
//! and burn together. What lies on one disk behind LVM, partitions or loop devices is not told here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use strongroom_model::Id;
use strongroom_model::scorecard::DeviceId;

/// A line of `mountinfo`; see proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The device number of the whole filesystem, whichever subvolume is mounted.
    device: u64,
    point: PathBuf,
    filesystem: Vec<u8>,
    source: Vec<u8>,
}

/// The storage behind a folder where several device numbers share it; `None` where `st_dev` tells
/// all that is known. The path has no links in it.
pub(super) fn shared_storage(mountinfo: &[u8], path: &Path) -> Option<DeviceId> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let mounts = lines.filter_map(parse);
    let above = mounts.filter(|mount| path.starts_with(&mount.point));
    // Of several mounts on one folder, the last hides the others.
    let mount = above.max_by_key(|mount| mount.point.components().count())?;
    match mount.filesystem.as_slice() {
        b"btrfs" => Some(DeviceId(mount.device)),
        b"zfs" => {
            let pool = mount.source.split(|byte| *byte == b'/').next()?;
            Some(pool_id(pool))
        }
        _ => None,
    }
}

/// A number for a pool that is no kernel's device number: these leave the highest bit alone.
fn pool_id(pool: &[u8]) -> DeviceId {
    let name = [b"zfs pool ", pool].concat();
    let digest = *Id::of(&name).as_bytes();
    let number = digest.first_chunk().copied().map_or(0, u64::from_be_bytes);
    DeviceId(number | 1 << 63)
}

fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (major, minor) = std::str::from_utf8(fields.nth(2)?).ok()?.split_once(':')?;
    let point = unescaped(fields.nth(1)?);
    // Between the mount's options and the dash are any number of optional fields.
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount {
        device: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
        point: OsString::from_vec(point).into(),
        filesystem: rest.next()?.to_vec(),
        source: unescaped(rest.next()?),
    })
}

/// Undoes the kernel's `\040` for a space, and the like.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, after.split_first_chunk::<3>()) {
            (b'\\', Some((digits, after))) if let Some(byte) = octal(digits) => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BTRFS: &str = "\
25 1 0:22 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw,space_cache=v2,subvolid=256,subvol=/@
31 25 0:22 /@home /home rw,relatime shared:2 - btrfs /dev/sda2 rw,subvolid=257,subvol=/@home
32 25 0:22 /@home/a /srv/bound rw,relatime shared:2 - btrfs /dev/sda2 rw,subvol=/@home
33 25 0:51 / /mnt/other rw,relatime shared:3 master:7 - btrfs /dev/sdb1 rw,subvol=/
34 25 0:5 / /dev rw,nosuid shared:4 - devtmpfs devtmpfs rw
35 25 8:17 / /mnt/with\\040space rw,relatime - ext4 /dev/sdc1 rw
";
    const ZFS: &str = "\
40 1 0:30 / / rw,relatime - zfs rpool/ROOT/debian rw,xattr,posixacl
41 40 0:31 / /srv rw,relatime - zfs rpool/srv rw,xattr
42 40 0:32 / /backup rw,relatime shared:9 - zfs rpool/srv/backup rw,xattr
43 40 0:33 / /tank rw,relatime - zfs tank rw,xattr
44 40 0:34 / /tank/copies rw,relatime - zfs tank/copies rw,xattr
45 40 0:35 / /mnt rw,relatime - zfs rpool2/mnt rw,xattr
";
    const LVM: &str = "\
50 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw
51 50 253:1 / /srv rw,relatime shared:2 - xfs /dev/mapper/vg-srv rw
52 50 253:0 /var/lib /mnt/bound rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw
";

    fn of(mountinfo: &str, path: &str) -> Option<DeviceId> {
        shared_storage(mountinfo.as_bytes(), Path::new(path))
    }

    #[test]
    fn subvolumes_and_bind_mounts_of_one_btrfs_are_one_device() {
        let root = of(BTRFS, "/var/backups").unwrap();
        assert_eq!(of(BTRFS, "/home/me/copy"), Some(root));
        assert_eq!(of(BTRFS, "/srv/bound/copy"), Some(root));
        assert_ne!(of(BTRFS, "/mnt/other/copy"), Some(root));
        assert_eq!(of(BTRFS, "/mnt/otherwise"), Some(root));
        assert_eq!(of(BTRFS, "/mnt/with space/copy"), None);
    }

    #[test]
    fn datasets_of_one_pool_are_one_device() {
        let rpool = of(ZFS, "/home").unwrap();
        assert_eq!(of(ZFS, "/srv/git"), Some(rpool));
        assert_eq!(of(ZFS, "/backup"), Some(rpool));
        let tank = of(ZFS, "/tank/x").unwrap();
        assert_eq!(of(ZFS, "/tank/copies/x"), Some(tank));
        let other = of(ZFS, "/mnt/x").unwrap();
        assert!(rpool != tank && rpool != other && tank != other);
    }

    #[test]
    fn of_other_filesystems_the_device_number_tells() {
        for path in ["/", "/srv", "/mnt/bound/x"] {
            assert_eq!(of(LVM, path), None);
        }
    }

    #[test]
    fn the_last_mount_on_a_folder_hides_the_others() {
        let both = "\
60 1 0:40 / /srv rw - btrfs /dev/sda rw
61 60 8:1 / /srv rw - ext4 /dev/sdb1 rw
";
        assert_eq!(of(both, "/srv/x"), None);
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\\'), Just(b'\n'), Just(b'-')], 0..200)) {
            shared_storage(&bytes, Path::new("/"));
        }
    }
}
