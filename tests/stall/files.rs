//! Files that are opened and closed as fast as can be, while archives are replaced.

use std::fs::File;

use crate::processes::{Holdings, holdings};
use crate::race::{Reader, Subject, limit, race_time, run};
use crate::support::{Mount, Place, model, noise};

#[test]
fn storms_of_open_and_close_while_archives_are_replaced() {
    let place = Place::new();
    let (small, large) = (noise(40, 700_000), model(41, 3));
    for name in ["a", "b/c", "changing"] {
        place.pack(name, &small);
    }
    for ttl in ["1", "0"] {
        let options = ["--ttl", ttl, "--cache-size", "4M"];
        let mount = Mount::with(&place.source, &place.mountpoint, &options, limit());
        let before = holdings(mount.pid());
        let mut versions = [&large, &small].into_iter().cycle();
        let mut readers: Vec<Reader<'_>> = Vec::new();
        for _ in 0..8 {
            readers.push(Box::new(|random| {
                for _ in 0..16 {
                    let path = mount.path(["a", "b/c", "changing", "changing"][random.usize(..4)]);
                    let file = File::open(&path).unwrap();
                    // Whatever it becomes, this is what was opened.
                    let len = file.metadata().unwrap().len();
                    let original = [&small, &large]
                        .into_iter()
                        .find(|original| original.len() as u64 == len)
                        .unwrap();
                    let subject = Subject::of(file, &path, original);
                    let at = random.usize(..original.len());
                    let mut buffer = vec![0; random.usize(..10_000)];
                    subject.read(&subject.file, &mut buffer, at).unwrap();
                    let map = subject.shared_map();
                    subject.see(&map, at..at + 10_000);
                    if random.usize(..8) == 0 {
                        crate::race::forget(&map);
                        subject.drop_pages();
                        subject.see(&map, 0..original.len());
                    }
                }
            }));
        }
        readers.push(Box::new(|_| {
            place.pack("changing", versions.next().unwrap());
        }));
        run(readers, race_time(), || ());
        Holdings::wait_for(mount.pid(), before);
        mount.stop();
    }
}
