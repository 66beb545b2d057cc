//! What dependents of one base share in a mount: its decoded blocks, and the room for them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Duration;

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

fn decodes(mountpoint: &Path) -> u64 {
    let stats = json(&ok(["stats", "--json", &text(mountpoint)]));
    stats["cache"]["decodes"].as_u64().unwrap()
}

/// Two that are read at the same time decode their base once, as two that are read one after the other do.
#[test]
fn dependents_that_are_read_at_once_decode_each_block_of_their_base_once() {
    let place = Place::new();
    let family = family(&place, 2);
    let count = |read: &dyn Fn(&Mount)| {
        let mounted = place.mount();
        read(&mounted);
        let decodes = decodes(&mounted.mountpoint);
        mounted.stop();
        decodes
    };
    let read = |mounted: &Mount, (name, bytes): &(PathBuf, Vec<u8>)| {
        let read = fs::read(mounted.path(name)).unwrap();
        assert!(read == *bytes, "{}", name.display());
    };
    let one = count(&|mounted| read(mounted, &family[0]));
    let both = count(&|mounted| family.iter().for_each(|file| read(mounted, file)));
    for _ in 0..5 {
        let at_once = count(&|mounted| {
            let barrier = Barrier::new(family.len());
            std::thread::scope(|scope| {
                for file in &family {
                    scope.spawn(|| {
                        barrier.wait();
                        read(mounted, file);
                    });
                }
            });
        });
        println!("decoded: {one} for one, {both} one after the other, {at_once} at once");
        assert_eq!(at_once, both);
        // Not all of both files, with a base each.
        assert!(at_once < 2 * one, "{at_once} of 2 * {one}");
    }
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
