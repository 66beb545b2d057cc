//! Archives on a device that takes its time, or that cannot read all of it: the mount's daemon waits
//! in page faults of its own.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weightfs::archive::ArchiveReader;

use crate::device::{Ailment, Served};
use crate::race::{
    OPTIONS, PAGE, Reader, Subject, adjacent_pages, all_pages, dropped_pages, limit, pause,
    race_time, random_pages, random_reads, run, unmount,
};
use crate::support::{Mount, Place, model};

/// A source with an archive on a slow device and one on a fast one.
struct Slow {
    place: Place,
    original: Vec<u8>,
    archive: PathBuf,
    device: Served,
}

impl Slow {
    fn new(delay: Duration, bad: impl FnOnce(&Path) -> Range<u64>) -> Self {
        let place = Place::new();
        let original = model(60, 16);
        let packed = place.pack("../device/m", &original);
        place.pack("fast", &original[..FAST_BYTES]);
        let mountpoint = place.source.join("slow");
        let ailment = Ailment {
            delay,
            bad: bad(&packed),
            ..Ailment::default()
        };
        let device = Served::start(packed.parent().unwrap(), &mountpoint, &ailment);
        Self {
            archive: mountpoint.join("m.wfz"),
            place,
            original,
            device,
        }
    }

    /// The bytes of the archive that lies beside the device.
    fn fast(&self) -> &[u8] {
        &self.original[..FAST_BYTES]
    }

    fn mount(&self, options: &[&str]) -> Mount {
        Mount::with(&self.place.source, &self.place.mountpoint, options, limit())
    }

    fn stop(self) {
        self.device.stop();
    }
}

const FAST_BYTES: usize = 2 << 20;
const NOWHERE: Range<u64> = 0..0;

#[test]
fn faults_and_readahead_of_an_archive_on_a_slow_device() {
    let slow = Slow::new(Duration::from_millis(20), |_| NOWHERE);
    for (round, options) in OPTIONS.iter().enumerate() {
        let mount = slow.mount(options);
        let path = mount.path("slow/m");
        let subject = Subject::open(&path, &slow.original);
        let map = subject.shared_map();
        let archive = File::open(&slow.archive).unwrap();
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..4 {
            readers.push(random_pages(&subject, map.clone()));
            readers.push(adjacent_pages(&subject, map.clone()));
            readers.push(random_reads(&subject));
        }
        readers.push(all_pages(&subject, map.clone()));
        readers.push(dropped_pages(&subject, vec![map]));
        readers.push(Box::new(|random| {
            pause(random, Duration::from_millis(200));
            crate::race::drop_pages(&archive);
        }));
        run(readers, race_time(), || unmount(&mount, round));
        drop((subject, archive));
        assert!(mount.wait().success());
    }
    slow.stop();
}

#[test]
fn readers_of_a_fast_device_are_done_while_those_of_a_slow_one_are_still_at_work() {
    let slow = Slow::new(Duration::from_millis(20), |_| NOWHERE);
    for options in OPTIONS {
        // Without a cache, so that the slow ones never find anything.
        let mount = slow.mount(&[options, &["--cache-size", "0"][..]].concat());
        let paths = [mount.path("slow/m"), mount.path("fast")];
        let waiting = Subject::open(&paths[0], &slow.original);
        let fast = Subject::open(&paths[1], slow.fast());
        let archive = File::open(&slow.archive).unwrap();
        // More than there are workers.
        let workers = 2 * std::thread::available_parallelism().unwrap().get();
        let map = waiting.shared_map();
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..workers {
            readers.push(random_pages(&waiting, map.clone()));
            readers.push(random_reads(&waiting));
        }
        readers.push(dropped_pages(&waiting, vec![map]));
        readers.push(Box::new(|random| {
            pause(random, Duration::from_millis(20));
            crate::race::drop_pages(&archive);
        }));
        run(readers, Duration::from_millis(100), || {
            let mut buffer = vec![0; 64 << 10];
            for at in (0..fast.original.len()).step_by(buffer.len()) {
                fast.read(&fast.file, &mut buffer, at).unwrap();
            }
            fast.drop_pages();
            fast.see(&fast.private_map(), 0..fast.original.len());
        });
        drop((waiting, fast, archive));
        mount.stop();
    }
    slow.stop();
}

/// The blocks of which something is stored in a range.
fn blocks_stored_in(archive: &Path, bad: &Range<u64>) -> HashSet<u64> {
    let archive = ArchiveReader::open(archive).unwrap();
    (0..archive.geometry().block_count())
        .filter(|&block| {
            let entry = archive.entry(block).unwrap();
            let end = entry.offset + u64::from(entry.stored_len);
            entry.offset < bad.end && bad.start < end
        })
        .collect()
}

#[test]
fn what_a_device_cannot_read_is_an_error_and_the_rest_reads_on() {
    let mut lost = HashSet::new();
    let mut geometry = None;
    let slow = Slow::new(Duration::from_millis(2), |packed| {
        let middle = packed.metadata().unwrap().len() / 2 / PAGE as u64 * PAGE as u64;
        let bad = middle..middle + (400 << 10);
        lost = blocks_stored_in(packed, &bad);
        geometry = Some(ArchiveReader::open(packed).unwrap().geometry().clone());
        bad
    });
    let geometry = geometry.unwrap();
    for options in OPTIONS {
        let mount = slow.mount(options);
        let path = mount.path("slow/m");
        let subject = Subject::open(&path, &slow.original);
        let len = slow.original.len();
        // Whether a page can be read depends on nothing but the blocks it is made of.
        let check = |page: usize| {
            let last = (page + PAGE).min(len) as u64 - 1;
            let blocks = geometry.block_at(page as u64).unwrap()..=geometry.block_at(last).unwrap();
            let is_lost = blocks.into_iter().any(|block| lost.contains(&block));
            match subject.read(&subject.file, &mut [0; PAGE], page) {
                Ok(()) => assert!(!is_lost, "{page}"),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO));
                    assert!(is_lost, "{page}: {error}");
                }
            }
        };
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..6 {
            readers.push(Box::new(|random| check(random.usize(..len) / PAGE * PAGE)));
        }
        for _ in 0..2 {
            // Few at once: of what is lost, each waits for the device, and for the others who try.
            let mut pages = (0..len).step_by(PAGE).cycle();
            readers.push(Box::new(move |_| pages.by_ref().take(16).for_each(check)));
        }
        readers.push(dropped_pages(&subject, Vec::new()));
        run(readers, race_time(), || ());
        // At least once in each block.
        (0..len).step_by(128 << 10).for_each(check);
        drop(subject);
        mount.stop();
    }
    slow.stop();
}
