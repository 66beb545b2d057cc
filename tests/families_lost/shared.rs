//! What dependents of one base share in a mount: its decoded blocks, and the room for them.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Duration;

use weightfs::fs::{ModelTree, ROOT_INODE, Source};

use super::store::text;
use super::support::{Mount, Place, Tensor, json, ok, safetensors, weights};

/// Numbers of a tensor: a few blocks.
const NUMBERS: usize = 128 * 8192;
const LIMIT: Duration = Duration::from_secs(120);

/// Dependents of one base, of which every number differs from it by a place: all of their blocks rest on it.
fn family(place: &Place, count: u16) -> Vec<(PathBuf, Vec<u8>)> {
    let base = weights(1, NUMBERS);
    let model = |bytes: Vec<u8>| {
        let shape = [(NUMBERS / 128) as u64, 128];
        let tensor: Tensor<'_> = ("a", "BF16", &shape, bytes);
        safetensors(&[tensor])
    };
    let base_path = place.root.path().join("base.safetensors");
    fs::write(&base_path, model(base.clone())).unwrap();
    let made = (1..=count).map(|places| {
        let moved = base.as_chunks().0.iter().map(|&number| {
            u16::from_le_bytes(number)
                .wrapping_add(places)
                .to_le_bytes()
        });
        let bytes = model(moved.flatten().collect());
        let name = format!("{places}.safetensors");
        let path = place.write(&name, &bytes);
        ok([
            "pack",
            "--replace",
            &text(&path),
            "--base",
            &text(&base_path),
        ]);
        (PathBuf::from(name), bytes)
    });
    made.collect()
}

/// Reads some files, one after the other or at the same time.
fn read_all(family: &[(PathBuf, Vec<u8>)], at_once: bool, read: impl Fn(&Path) -> Vec<u8> + Sync) {
    let barrier = Barrier::new(if at_once { family.len() } else { 1 });
    let read = |(name, bytes): &(PathBuf, Vec<u8>)| {
        barrier.wait();
        assert!(read(name) == *bytes, "{}", name.display());
    };
    if !at_once {
        family.iter().for_each(read);
        return;
    }
    std::thread::scope(|scope| {
        for file in family {
            scope.spawn(move || read(file));
        }
    });
}

/// Two that are read at the same time decode their base once, as two that are read one after the other do.
#[test]
fn dependents_that_are_read_at_once_decode_each_block_of_their_base_once() {
    const PIECE_BYTES: usize = 64 << 10;
    /// Of each file and the base: a block that is read as a whole is not kept, and whoever looks for what comes next
    /// reads these as well.
    const HEADERS: u64 = 3;

    let place = Place::new();
    let family = family(&place, 2);
    // In pieces of blocks, so that these are kept.
    let decodes = |at_once: bool, files: &[(PathBuf, Vec<u8>)]| {
        let source = Source::open(&place.source).unwrap();
        let threads = NonZeroUsize::new(2).unwrap();
        let tree = ModelTree::new(source, 256 << 20, threads).unwrap();
        read_all(files, at_once, |name| {
            let attr = tree.lookup(ROOT_INODE, name.as_os_str()).unwrap();
            let handle = tree.open(attr.inode).unwrap().handle;
            let pieces = (0..attr.size).step_by(PIECE_BYTES);
            let read = |at| tree.read(handle, at, PIECE_BYTES, false, <[u8]>::to_vec);
            let bytes = pieces.flat_map(|at| read(at).unwrap()).collect();
            tree.release(handle);
            bytes
        });
        tree.stats().cache.decodes
    };
    let one = decodes(false, &family[..1]);
    let both = decodes(false, &family);
    let of_base = 2 * one - both;
    assert!(of_base > HEADERS, "{one} for one, {both} for both");
    for _ in 0..20 {
        let at_once = decodes(true, &family);
        assert!(at_once <= both + HEADERS, "{at_once} instead of {both}");
    }
    // Through a mount, which fetches ahead, what is not kept may be decoded again.
    let mounted = place.mount();
    read_all(&family, true, |name| fs::read(mounted.path(name)).unwrap());
    let stats = json(&ok(["stats", "--json", &text(&mounted.mountpoint)]));
    mounted.stop();
    let at_once = stats["cache"]["decodes"].as_u64().unwrap();
    println!("decoded: {one} for one, {both} for both, {at_once} through a mount");
    assert!(at_once < both + of_base, "{at_once} instead of {both}");
}

/// A base that is larger than the cache is not kept for one alone, who would find none of it again.
#[test]
fn blocks_of_a_large_base_are_kept_for_those_who_share_it() {
    let place = Place::new();
    let family = family(&place, 2);
    let kept_bytes = |open: usize| {
        let source = Source::open(&place.source).unwrap();
        let tree = ModelTree::new(source, 1 << 20, NonZeroUsize::MIN).unwrap();
        let handles = family[..open].iter().map(|(name, _)| {
            let attr = tree.lookup(ROOT_INODE, name.as_os_str()).unwrap();
            tree.open(attr.inode).unwrap().handle
        });
        let handles: Vec<_> = handles.collect();
        let bytes = &family[0].1;
        let read = tree.read(handles[0], 0, bytes.len(), false, |read| read == bytes);
        assert!(read.unwrap());
        tree.stats().cache.cached_bytes
    };
    assert_eq!(kept_bytes(1), 0);
    assert!(kept_bytes(2) > 0);
}

/// Room for a block or for none at all, and many who want different ones of several files and their base.
#[test]
fn many_readers_of_dependents_get_on_in_a_tiny_cache() {
    const READERS: u64 = 16;
    const READS: usize = 40;

    let place = Place::new();
    let family = family(&place, 3);
    for size in ["0", "600K", "2M"] {
        for threads in ["1", "4"] {
            let options = ["--cache-size", size, "--threads", threads];
            let mounted = Mount::with(&place.source, &place.mountpoint, &options, LIMIT);
            std::thread::scope(|scope| {
                for reader in 0..READERS {
                    let (mounted, family) = (&mounted, &family);
                    scope.spawn(move || {
                        let mut rng = fastrand::Rng::with_seed(reader);
                        for _ in 0..READS {
                            let (name, bytes) = &family[rng.usize(..family.len())];
                            let file = fs::File::open(mounted.path(name)).unwrap();
                            let at = rng.usize(..bytes.len());
                            let mut read = vec![0; rng.usize(1..=100_000.min(bytes.len() - at))];
                            file.read_exact_at(&mut read, at as u64).unwrap();
                            assert!(
                                read == bytes[at..at + read.len()],
                                "{} {at}",
                                name.display()
                            );
                        }
                    });
                }
            });
            mounted.stop();
        }
    }
}
