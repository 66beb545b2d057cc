//! One file that is packed and becomes plain again and again, under reads, writes and maps, each compared.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use memmap2::{MmapMut, MmapOptions};

use super::support::{Mount, Place, model, weights};
use super::{LIMIT, packing};

const NAME: &str = "m.safetensors";
/// So many operations, then it is packed.
const BETWEEN: u32 = 50;
/// Longer than the header, which says how long the file is.
const DATA: usize = 1000;
const MOST: usize = 20_000;

/// Who has it open for longer than one operation.
struct Opened {
    file: File,
    map: Option<MmapMut>,
}

fn open(mount: &Mount, writes: bool) -> File {
    OpenOptions::new()
        .read(true)
        .write(writes)
        .open(mount.path(NAME))
        .unwrap()
}

fn map(file: &File) -> MmapMut {
    // SAFETY: this thread alone changes the file, and cuts it only between looks at the map.
    #[expect(unsafe_code, reason = "a program that maps a file")]
    unsafe { MmapOptions::new().map_mut(file) }.unwrap()
}

/// Packs, once nobody writes, and waits for it.
fn wait_until_packed(mount: &Mount, place: &Place) {
    let archive = place.source.join(NAME.to_owned() + ".wfz");
    let start = std::time::Instant::now();
    while !archive.exists() {
        assert!(start.elapsed() < LIMIT, "{:?}", mount.packing());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Anything but cutting it: a model that is not whole is not packed.
fn operate(rng: &mut fastrand::Rng, mount: &Mount, expected: &mut [u8], writers: &mut Vec<Opened>) {
    let offset = 2 * rng.usize(DATA / 2..(expected.len() - MOST) / 2);
    let len = rng.usize(1..MOST);
    let range = offset..offset + len;
    // What becomes no smaller is not packed.
    let mut bytes = weights(rng.u64(..), len.div_ceil(2));
    bytes.truncate(len);
    let read = |file: &File| {
        let mut read = vec![0; len];
        file.read_exact_at(&mut read, offset as u64).unwrap();
        read
    };
    match rng.u32(..12) {
        0..3 => assert!(read(&open(mount, false)) == expected[range]),
        3 => {
            open(mount, true)
                .write_all_at(&bytes, offset as u64)
                .unwrap();
            expected[range].copy_from_slice(&bytes);
        }
        4 => writers.push(Opened {
            file: open(mount, true),
            map: None,
        }),
        5 => drop(writers.pop()),
        6 => {
            // Whole again, as a download that is begun anew.
            let len = rng.u64(DATA as u64..expected.len() as u64);
            let file = open(mount, true);
            file.set_len(len).unwrap();
            let end = expected.len() as u64;
            file.write_all_at(&expected[len as usize..], len).unwrap();
            assert_eq!(file.metadata().unwrap().len(), end);
        }
        7 => {
            fs::rename(mount.path(NAME), mount.path("aside")).unwrap();
            fs::rename(mount.path("aside"), mount.path(NAME)).unwrap();
        }
        kind => {
            let Some(writer) = writers.last_mut() else {
                return;
            };
            match kind {
                8 => assert!(read(&writer.file) == expected[range]),
                9 => {
                    writer.file.write_all_at(&bytes, offset as u64).unwrap();
                    expected[range].copy_from_slice(&bytes);
                }
                10 => {
                    let file = &writer.file;
                    let map = writer.map.get_or_insert_with(|| map(file));
                    assert!(map[range.clone()] == expected[range.clone()]);
                    map[range.clone()].copy_from_slice(&bytes);
                    expected[range].copy_from_slice(&bytes);
                }
                _ => writer.file.sync_all().unwrap(),
            }
        }
    }
}

fn again_and_again(is_mapped: bool) {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    let mut expected = model(seed, 1);
    place.write(NAME, &expected);
    let rounds = super::support::rounds(8);
    let mount = packing(&place, LIMIT * rounds);
    let reader = is_mapped.then(|| {
        let file = open(&mount, false);
        // SAFETY: as in `map`.
        #[expect(unsafe_code, reason = "a program that maps a file")]
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        (file, map)
    });
    let check = |expected: &[u8], case: &str| {
        if let Some((file, map)) = &reader {
            assert!(map[..] == *expected, "{case}");
            let mut read = vec![0; expected.len()];
            file.read_exact_at(&mut read, 0).unwrap();
            assert!(read == expected, "{case}");
        }
    };
    for round in 0..rounds {
        let mut writers = Vec::new();
        for number in 0..BETWEEN {
            operate(&mut rng, &mount, &mut expected, &mut writers);
            if number % 10 == 0 {
                check(&expected, &format!("round {round}, {number}"));
            }
        }
        drop(writers);
        wait_until_packed(&mount, &place);
        check(&expected, &format!("round {round}"));
        let read = fs::read(mount.path(NAME)).unwrap();
        assert!(read == expected, "round {round}");
    }
    drop(reader);
    mount.stop();
    super::support::ok([
        "verify".as_ref(),
        "--deep".as_ref(),
        place.source.join(NAME.to_owned() + ".wfz").as_os_str(),
    ]);
}

#[test]
fn a_file_is_packed_and_becomes_plain_again_and_again() {
    again_and_again(false);
}

/// All the time.
#[test]
fn a_file_that_somebody_has_mapped_is_packed_and_becomes_plain_again_and_again() {
    again_and_again(true);
}
