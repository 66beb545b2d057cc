//! Archives on a device that fails now and then: whoever reads in the mount gets the right bytes or an
//! error, nobody waits for ever, and once the device is well again everything reads right.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fastrand::Rng;

use crate::device::{Ailment, Served};
use crate::race::{OPTIONS, Reader, Subject, dropped_pages, limit, race_time, run};
use crate::support::{Mount, Place, model, weightfs};

/// A source with an archive on a device that fails when it is not calm.
struct Faulty {
    place: Place,
    original: Vec<u8>,
    archive: PathBuf,
    device: Served,
}

impl Faulty {
    fn new(direct: bool) -> Self {
        let place = Place::new();
        let original = model(70, 16);
        let packed = place.pack("../device/m", &original);
        let mountpoint = place.source.join("device");
        let ailment = Ailment {
            // A page of a map that cannot be had is asked for again and again.
            one_in: Some(if direct { 8 } else { 1 }),
            direct,
            ..Ailment::default()
        };
        let device = Served::start(packed.parent().unwrap(), &mountpoint, &ailment);
        device.set_calm(true);
        Self {
            archive: mountpoint.join("m.wfz"),
            place,
            original,
            device,
        }
    }

    fn mount(&self, options: &[&str]) -> Mount {
        let mut command = weightfs();
        command
            .arg("mount")
            .args(options)
            .args([&self.place.source, &self.place.mountpoint])
            .stderr(Stdio::piped());
        Mount::spawn(command, &self.place.mountpoint, limit())
    }
}

/// Reads anywhere, or on and on; what fails fails with EIO.
fn reads<'a>(subject: &'a Subject<'a>, goes_on: bool) -> Reader<'a> {
    let mut buffer = vec![0; 300_000];
    let mut at = 0;
    Box::new(move |random: &mut Rng| {
        for _ in 0..8 {
            let len = 1 + random.usize(..buffer.len());
            if !goes_on {
                at = random.usize(..subject.original.len());
            }
            if let Err(error) = subject.read(&subject.file, &mut buffer[..len], at) {
                assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
            }
            at = (at + len) % subject.original.len();
        }
    })
}

fn race_on(direct: bool) {
    let faulty = Faulty::new(direct);
    let mut errors = 0;
    for options in OPTIONS {
        let mut mount = faulty.mount(options);
        let stderr = BufReader::new(mount.take_stderr());
        let said = std::thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines.filter(|line| line.contains("m.wfz: block ")).count()
        });
        let path = mount.path("device/m");
        let subject = Subject::open(&path, &faulty.original);
        // So that pages the daemon has mapped are read from the device again.
        let archive = File::open(&faulty.archive).unwrap();
        let mut readers: Vec<Reader<'_>> =
            (0..6).map(|reader| reads(&subject, reader < 3)).collect();
        readers.push(dropped_pages(&subject, Vec::new()));
        readers.push(Box::new(|random| {
            crate::race::pause(random, Duration::from_millis(10));
            crate::race::drop_pages(&archive);
        }));
        faulty.device.set_calm(false);
        run(readers, 2 * race_time(), || ());
        faulty.device.set_calm(true);
        subject.drop_pages();
        let mut buffer = vec![0; 1 << 20];
        for at in (0..faulty.original.len()).step_by(buffer.len()) {
            subject.read(&subject.file, &mut buffer, at).unwrap();
        }
        drop((subject, archive));
        mount.stop();
        errors += said.join().unwrap();
    }
    assert!(errors > 0, "those that were told name archive and block");
    faulty.device.stop();
}

#[test]
fn mapped_archives_on_a_device_that_fails_now_and_then() {
    race_on(false);
}

/// Of these, bytes are also changed or missing without a word.
#[test]
fn archives_that_cannot_be_mapped_on_a_device_that_fails_now_and_then() {
    race_on(true);
}
