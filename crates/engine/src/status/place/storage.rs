//! Which disks lie below a filesystem, by what the kernel tells in `/sys`.
//!
//! A loop device lies on the file behind it, a partition on its disk, a volume of LVM or a RAID on
//! its parts: two copies there have two device numbers and burn together. So all numbers on the
//! way down are known, and two copies that share one of them share a disk. What the kernel does
//! not tell ends the way; then the number of the filesystem itself has to do.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, makedev, minor};

/// More devices are not below one filesystem.
const MOST_DEVICES: usize = 256;
/// No file of `/sys` that is read here is longer.
const MOST_BYTES: u64 = 8 << 10;

/// What lies below something.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// All devices on the way down to the disks.
    pub(super) devices: BTreeSet<u64>,
    /// Whether any of it is in memory, and gone with the power.
    pub(super) in_memory: bool,
}

/// What a device lies on directly.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Below {
    /// Other devices: the disk of a partition, the parts of a volume.
    pub(super) devices: Vec<u64>,
    /// The file of a loop device.
    pub(super) file: Option<PathBuf>,
    /// Whether it is a RAM disk.
    pub(super) in_memory: bool,
}

/// Goes down from some devices, by what is `below` each and on what a file lies.
pub(super) fn storage(
    from: impl IntoIterator<Item = u64>,
    below: &dyn Fn(u64) -> Below,
    of_file: &dyn Fn(&Path) -> Storage,
) -> Storage {
    let mut found = Storage::default();
    let mut next: Vec<u64> = from.into_iter().collect();
    while let Some(device) = next.pop() {
        if found.devices.len() >= MOST_DEVICES || !found.devices.insert(device) {
            continue;
        }
        let below = below(device);
        found.in_memory |= below.in_memory;
        next.extend(below.devices);
        if let Some(file) = below.file {
            let storage = of_file(&file);
            found.in_memory |= storage.in_memory;
            next.extend(storage.devices);
        }
    }
    found
}

/// What `/sys`, or what is in its place, tells of a device.
pub(super) fn below(sys: &Path, device: u64) -> Below {
    let (major, minor) = (major(device), minor(device));
    let folder = sys.join(format!("dev/block/{major}:{minor}"));
    let mut found = Below {
        in_memory: is_ram_disk(&folder),
        ..Below::default()
    };
    if folder.join("partition").exists() {
        // The folder is a link; the one above what it leads to is the disk.
        found.devices.extend(number(&folder.join("../dev")));
    }
    let slaves = fs::read_dir(folder.join("slaves"));
    for slave in slaves.into_iter().flatten().flatten().take(MOST_DEVICES) {
        found.devices.extend(number(&slave.path().join("dev")));
    }
    found.file = read(&folder.join("loop/backing_file")).map(|mut path| {
        path.truncate(path.trim_ascii_end().len());
        PathBuf::from(std::ffi::OsString::from_vec(path))
    });
    found
}

fn is_ram_disk(folder: &Path) -> bool {
    let Ok(real) = folder.canonicalize() else {
        return false;
    };
    let name = real.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| {
        ["zram", "ram"].iter().any(|kind| {
            let number = name.strip_prefix(kind);
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
    })
}

/// A device number as `8:1`.
fn number(path: &Path) -> Option<u64> {
    let text = String::from_utf8(read(path)?).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use super::*;

    fn on(devices: &[u64]) -> Below {
        Below {
            devices: devices.to_vec(),
            ..Below::default()
        }
    }

    fn walk(from: u64, world: &BTreeMap<u64, Below>) -> Vec<u64> {
        let below = |device| world.get(&device).cloned().unwrap_or_default();
        let of_file = |file: &Path| Storage {
            devices: [file.to_str().unwrap().parse().unwrap()].into(),
            in_memory: false,
        };
        let found = storage([from], &below, &of_file);
        found.devices.into_iter().collect()
    }

    #[test]
    fn all_devices_down_to_the_disks_are_found() {
        let image = Below {
            file: Some("53".into()),
            ..Below::default()
        };
        // An image in a logical volume on a RAID of two partitions.
        let world = BTreeMap::from([
            (7, image),
            (53, on(&[9])),
            (9, on(&[81, 91])),
            (81, on(&[80])),
            (91, on(&[90])),
        ]);
        assert_eq!(walk(7, &world), [7, 9, 53, 80, 81, 90, 91]);
        assert_eq!(walk(81, &world), [80, 81]);
        assert_eq!(walk(1000, &world), [1000]);
    }

    #[test]
    fn a_world_without_end_is_left() {
        let circle = BTreeMap::from([(1, on(&[2])), (2, on(&[1]))]);
        assert_eq!(walk(1, &circle), [1, 2]);
        let endless = |device: u64| on(&[device + 1]);
        let none = |_: &Path| Storage::default();
        assert_eq!(storage([0], &endless, &none).devices.len(), MOST_DEVICES);
    }

    #[test]
    fn what_is_in_memory_anywhere_below_is_in_memory() {
        let zram = |device| Below {
            devices: vec![device + 1],
            in_memory: device == 3,
            ..Below::default()
        };
        let none = |_: &Path| Storage::default();
        assert!(storage([1], &zram, &none).in_memory);
        assert!(!storage([4], &zram, &none).in_memory);
        let image = |_| Below {
            file: Some("/dev/shm/image".into()),
            ..Below::default()
        };
        let ram = |_: &Path| Storage {
            in_memory: true,
            ..Storage::default()
        };
        assert!(storage([1], &image, &ram).in_memory);
    }

    #[test]
    fn sysfs_is_read_as_the_kernel_lays_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let sys = folder.path();
        let put = |path: &str, text: &str| {
            let path = sys.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("devices/pci/block/sda/dev", "8:0\n");
        put("devices/pci/block/sda/sda1/dev", "8:1\n");
        put("devices/pci/block/sda/sda1/partition", "1\n");
        put("devices/virtual/block/dm-0/dev", "253:0\n");
        put("devices/virtual/block/dm-0/slaves/.keep", "");
        symlink(
            sys.join("devices/pci/block/sda/sda1"),
            sys.join("devices/virtual/block/dm-0/slaves/sda1"),
        )
        .unwrap();
        put(
            "devices/virtual/block/loop3/loop/backing_file",
            "/srv/an image\n",
        );
        put("devices/virtual/block/zram0/dev", "252:0\n");
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        for (number, place) in [
            ("8:0", "pci/block/sda"),
            ("8:1", "pci/block/sda/sda1"),
            ("253:0", "virtual/block/dm-0"),
            ("7:3", "virtual/block/loop3"),
            ("252:0", "virtual/block/zram0"),
        ] {
            let link = sys.join("dev/block").join(number);
            symlink(sys.join("devices").join(place), link).unwrap();
        }
        let at = |major, minor| below(sys, makedev(major, minor));
        assert_eq!(at(8, 0), Below::default());
        assert_eq!(at(8, 1), on(&[makedev(8, 0)]));
        assert_eq!(at(253, 0), on(&[makedev(8, 1)]));
        assert_eq!(at(7, 3).file.unwrap(), Path::new("/srv/an image"));
        assert!(at(252, 0).in_memory);
        assert_eq!(at(99, 9), Below::default());
    }
}
