//! Readers beside writers: nobody waits for ever.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::support::{Place, model};
use super::writable;

#[test]
fn names_change_under_readers_and_writers_decode_under_maps() {
    let place = Place::new();
    let bytes = model(1, 2);
    for number in 0..4 {
        place.pack(&format!("m{number}"), &bytes);
    }
    let mount = writable(&place.source, &place.mountpoint);
    let done = AtomicBool::new(false);
    let path = |number: usize| mount.path(format!("m{number}"));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (done, path, bytes) = (&done, &path, &bytes);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(number as u64);
                while !done.load(Ordering::Relaxed) {
                    let Ok(file) = File::open(path(rng.usize(..4))) else {
                        continue;
                    };
                    let offset = rng.usize(8..bytes.len() - 5000);
                    let mut read = vec![0; 5000];
                    if file.read_exact_at(&mut read, offset as u64).is_ok() {
                        assert!(read == bytes[offset..offset + 5000]);
                    }
                }
            });
        }
        let map = "import mmap,sys,time\nf=open(sys.argv[1],'rb')\nm=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\nn=0\nfor i in range(0,len(m),4096): n+=m[i]\nprint(n)\ntime.sleep(0.5)\nprint(sum(m[8:]))";
        let mapped = Command::new("python3")
            .arg("-c")
            .arg(map)
            .arg(path(0))
            .spawn()
            .unwrap();
        for round in 0..6 {
            for number in 0..4 {
                let Ok(file) = OpenOptions::new().write(true).open(path(number)) else {
                    continue;
                };
                file.write_all_at(&bytes[..8], 0).unwrap();
            }
            fs::rename(path(round % 4), mount.path("aside")).unwrap();
            fs::rename(mount.path("aside"), path(round % 4)).unwrap();
        }
        let mapped = mapped.wait_with_output().unwrap();
        assert!(mapped.status.success());
        done.store(true, Ordering::Relaxed);
    });
    for number in 0..4 {
        assert!(fs::read(path(number)).unwrap() == bytes);
    }
    mount.stop();
}

#[test]
fn a_writer_of_each_thread_leaves_readers_answered() {
    let place = Place::new();
    let bytes = model(2, 2);
    for number in 0..12 {
        place.pack(&format!("m{number}"), &bytes);
    }
    place.write("small", b"answer");
    let mount = super::support::Mount::with(
        &place.source,
        &place.mountpoint,
        &["--writable", "--threads", "2"],
        super::LIMIT,
    );
    std::thread::scope(|scope| {
        for number in 0..11 {
            let path = mount.path(format!("m{number}"));
            scope.spawn(move || {
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.write_all_at(b"written!", 0).unwrap();
            });
        }
        for _ in 0..20 {
            assert_eq!(fs::read(mount.path("small")).unwrap(), b"answer");
            let file = File::open(mount.path("m11")).unwrap();
            file.read_exact_at(&mut [0; 4096], 1 << 20).unwrap();
        }
    });
    for number in 0..11 {
        let read = fs::read(mount.path(format!("m{number}"))).unwrap();
        assert!(read[..8] == *b"written!" && read[8..] == bytes[8..]);
    }
    mount.stop();
}
