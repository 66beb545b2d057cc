//! Mounts that are killed: nothing that was on the disk is lost, and no file has two forms.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use super::support::{Place, model};
use super::writable;

const FILES: usize = 4;

#[test]
fn killed_mounts_leave_each_file_whole_and_in_one_form() {
    let rounds = super::support::rounds(8);
    let place = Place::new();
    let name = |number: usize| format!("m{number}.safetensors");
    for number in 0..FILES {
        place.pack(&name(number), &model(number as u64, 1));
    }
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        let mount = writable(&place.source, &place.mountpoint);
        let pid = mount.pid();
        let delay = std::time::Duration::from_micros(rng.u64(..60_000));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(delay);
            super::support::signal(pid, "KILL");
        });
        // Each write is of the byte that is there already: the file is the same in both forms.
        for number in 0..FILES {
            let file = OpenOptions::new()
                .write(true)
                .open(mount.path(name(number)));
            let Ok(file) = file else { continue };
            let first = model(number as u64, 1)[0];
            let _ = file.write_all_at(&[first], 0);
            let _ = fs::rename(mount.path(name(number)), mount.path("between"));
            let _ = fs::rename(mount.path("between"), mount.path(name(number)));
        }
        killer.join().unwrap();
        mount.kill();
        let mount = writable(&place.source, &place.mountpoint);
        if mount.path("between").exists() {
            let len = |number: &usize| mount.path(name(*number)).exists();
            let missing = (0..FILES).find(|number| !len(number)).unwrap();
            fs::rename(mount.path("between"), mount.path(name(missing))).unwrap();
        }
        for number in 0..FILES {
            let read = fs::read(mount.path(name(number)));
            assert!(
                read.unwrap() == model(number as u64, 1),
                "round {round}, {number}"
            );
        }
        let names = fs::read_dir(&mount.mountpoint).unwrap().count();
        assert_eq!(names, FILES, "round {round}");
        mount.stop();
        // Back to archives for the next round.
        for number in 0..FILES {
            let (plain, archive) = (place.source.join(name(number)), name(number) + ".wfz");
            assert_ne!(plain.exists(), place.source.join(&archive).exists());
            if plain.exists() {
                fs::remove_file(&plain).unwrap();
                place.pack(&name(number), &model(number as u64, 1));
            }
        }
        assert!(!place.source.join(".weightfs").exists(), "round {round}");
    }
}
