//! `demo`: the whole job on one model, measured and compared.
//!
//! The mount is served by another process: a program that maps a file of a mount it serves itself
//! can wait for itself for ever.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::sample_model;
use crate::cli::args::DemoArgs;
use crate::console::size::{self, ratio, show_speed};
use crate::console::{Outcome, Stop, print, watched};
use crate::daemon::{MountCommand, MountProcess, Stay};
use crate::error::{Error, Result};
use crate::format::original_name;
use crate::job::{self, PackOptions, Totals};
use crate::os::read_full_at;
use crate::storage::MappedFile;

/// Bytes of a read, and of a copy out of a map.
const CHUNK_BYTES: usize = 1 << 20;

pub(crate) fn demo(args: &DemoArgs) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let work = TempDir::with_prefix("weightfs-demo-")
        .map_err(|e| Error::io("cannot make a temporary directory", e))?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => {
            eprintln!("making a model ...");
            let model = work.path().join("model");
            fs::create_dir(&model)
                .and_then(|()| sample_model::write(&model))
                .map_err(|e| Error::io(format!("cannot write {}", model.display()), e))?;
            model
        }
    };
    let packed = work.path().join("packed");
    let mountpoint = work.path().join("mnt");
    for directory in [&packed, &mountpoint] {
        fs::create_dir(directory)
            .map_err(|e| Error::io(format!("cannot make {}", directory.display()), e))?;
    }

    let options = PackOptions {
        level: args.level.into(),
        ..PackOptions::default()
    };
    let destination = match model.file_name() {
        Some(name) if model.is_file() => packed.join(crate::format::archive_name(name)),
        _ => packed.clone(),
    };
    let start = Instant::now();
    let (_, totals) = watched("packing", &stop, |monitor| {
        job::pack(&model, Some(&destination), &options, monitor)
    })?;
    let pack_time = start.elapsed();

    let files = files(&model, &packed, &mountpoint)?;
    eprintln!("reading through the mount, and the original beside it ...");
    let mut measured = Measured::default();
    for way in [Way::Read, Way::Map] {
        files.drop_cache()?;
        let mount = mount(&packed, &mountpoint)?;
        for warm in [false, true] {
            stop.check()?;
            let raw = timed(&files.raw, way)?;
            let mounted = timed(&files.mounted, way)?;
            measured.times.push((way, warm, raw, mounted));
        }
        for (raw, mounted) in files.raw.iter().zip(&files.mounted) {
            stop.check()?;
            if sha256(raw, Way::Read)? != sha256(mounted, way)? {
                return Err(Error::corrupt(format!(
                    "{} through the mount ({}) differs from {}",
                    mounted.display(),
                    way.name(),
                    raw.display()
                )));
            }
        }
        unmount(mount)?;
    }
    measured.bytes = files.bytes;
    print(&if args.json {
        measured.json(&totals, pack_time).to_string()
    } else {
        measured.table(&totals, pack_time, files.raw.len())
    })?;
    Ok(Outcome::Done)
}

/// The packed files of the model, three times.
struct Files {
    raw: Vec<PathBuf>,
    archives: Vec<PathBuf>,
    mounted: Vec<PathBuf>,
    bytes: u64,
}

fn files(model: &Path, packed: &Path, mountpoint: &Path) -> Result<Files> {
    let mut files = Files {
        raw: Vec::new(),
        archives: job::archives_in(&[packed.to_path_buf()])?,
        mounted: Vec::new(),
        bytes: 0,
    };
    for archive in &files.archives {
        let relative = archive
            .strip_prefix(packed)
            .ok()
            .and_then(|relative| {
                Some(relative.with_file_name(original_name(relative.file_name()?)?))
            })
            .ok_or_else(|| Error::InvalidInput(format!("{} is no archive", archive.display())))?;
        let raw = if model.is_dir() {
            model.join(&relative)
        } else {
            model.to_path_buf()
        };
        files.bytes += raw
            .metadata()
            .map_err(|e| Error::io(format!("cannot read {}", raw.display()), e))?
            .size();
        files.raw.push(raw);
        files.mounted.push(mountpoint.join(relative));
    }
    Ok(files)
}

impl Files {
    /// So that both the original and the archive come from the disk.
    fn drop_cache(&self) -> Result<()> {
        for path in self.raw.iter().chain(&self.archives) {
            let file = open(path)?;
            // Pages that are not on the disk yet would stay.
            let _ = file.sync_all();
            fadvise(&file, 0, None, Advice::DontNeed)
                .map_err(|e| Error::io(format!("cannot drop {}", path.display()), e.into()))?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Map,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read()",
            Self::Map => "mmap",
        }
    }
}

fn timed(paths: &[PathBuf], way: Way) -> Result<Duration> {
    let start = Instant::now();
    for path in paths {
        // The copy out of the map is the work; without a use of it, it would be left out.
        chunks(path, way, |chunk| {
            std::hint::black_box(chunk);
        })?;
    }
    Ok(start.elapsed())
}

fn sha256(path: &Path, way: Way) -> Result<[u8; 32]> {
    let mut sha256 = Sha256::new();
    chunks(path, way, |chunk| sha256.update(chunk))?;
    Ok(sha256.finalize().into())
}

/// Passes a file on in pieces, each copied to the same buffer.
fn chunks(path: &Path, way: Way, mut each: impl FnMut(&[u8])) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
    let file = open(path)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    match way {
        Way::Read => {
            let mut at = 0;
            loop {
                let read = read_full_at(&file, &mut buffer, at).map_err(cannot)?;
                if read == 0 {
                    return Ok(());
                }
                each(&buffer[..read]);
                at += read as u64;
            }
        }
        Way::Map => {
            let map = MappedFile::new(&file).map_err(cannot)?;
            for chunk in map.as_slice().chunks(CHUNK_BYTES) {
                let copy = &mut buffer[..chunk.len()];
                copy.copy_from_slice(chunk);
                each(copy);
            }
            Ok(())
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io(format!("cannot open {}", path.display()), e))
}

fn mount(source: &Path, mountpoint: &Path) -> Result<MountProcess> {
    let command = MountCommand {
        name: "mount",
        options: Vec::new(),
        source: Some(source.to_path_buf()),
        mountpoint: mountpoint.to_path_buf(),
    };
    let mut mount = MountProcess::start(&command, Stay::WithStarter, Stdio::inherit())?;
    let is_ready = mount
        .is_ready()
        .map_err(|e| Error::io("cannot start weightfs mount", e))?;
    if !is_ready {
        return Err(Error::Environment(
            "weightfs mount did not become ready; see its message above".into(),
        ));
    }
    Ok(mount)
}

fn unmount(mount: MountProcess) -> Result<()> {
    let ended = mount
        .stop()
        .map_err(|e| Error::io("cannot stop weightfs mount", e))?;
    if !ended.success() {
        return Err(Error::Environment(format!(
            "weightfs mount ended with {ended}"
        )));
    }
    Ok(())
}

#[derive(Default)]
struct Measured {
    bytes: u64,
    /// Way, warm, original, through the mount.
    times: Vec<(Way, bool, Duration, Duration)>,
}

impl Measured {
    fn json(&self, totals: &Totals, pack_time: Duration) -> serde_json::Value {
        json!({
            "original_bytes": totals.original_bytes,
            "stored_bytes": totals.stored_bytes,
            "ratio": ratio(totals.original_bytes, totals.stored_bytes),
            "seconds": pack_time.as_secs_f64(),
            "identical": true,
            "reads": self.times.iter().map(|(way, warm, raw, mounted)| json!({
                "way": way.name(),
                "warm": warm,
                "bytes": self.bytes,
                "original_seconds": raw.as_secs_f64(),
                "mounted_seconds": mounted.as_secs_f64(),
            })).collect::<Vec<_>>(),
        })
    }

    fn table(&self, totals: &Totals, pack_time: Duration, files: usize) -> String {
        let row = |what: &str, value: String| format!("{what:24}{value:>16}");
        let mut lines = vec![
            row("original", size::show(totals.original_bytes)),
            row("stored", size::show(totals.stored_bytes)),
            row(
                "ratio",
                format!("{:.4}", ratio(totals.original_bytes, totals.stored_bytes)),
            ),
            row(
                "packing, with read-back",
                show_speed(totals.original_bytes, pack_time),
            ),
            String::new(),
            format!(
                "{:24}{:>16}{:>16}",
                "reading", "through mount", "original file"
            ),
        ];
        lines.extend(self.times.iter().map(|(way, warm, raw, mounted)| {
            let what = format!("{}, {}", way.name(), if *warm { "warm" } else { "cold" });
            format!(
                "{what:24}{:>16}{:>16}",
                show_speed(self.bytes, *mounted),
                show_speed(self.bytes, *raw)
            )
        }));
        lines.push(String::new());
        lines.push(format!(
            "SHA-256 of {files} file(s) through the mount, by read() and by mmap: identical"
        ));
        lines.join("\n")
    }
}
