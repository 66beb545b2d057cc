//! Packs a file or a directory of a model, and tells how far it is:
//!
//!     cargo run --release --example pack_with_progress -- model.safetensors model.safetensors.wfz

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use weightfs::{Monitor, PackOptions, pack};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [from, to] = &args[..] else {
        eprintln!("usage: pack_with_progress SRC DST");
        return ExitCode::from(2);
    };
    match show(Path::new(from), Path::new(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Packs, and prints each percent that is done.
pub fn show(from: &Path, to: &Path) -> weightfs::Result<()> {
    // Bytes that are to be encoded and compared, and those that were.
    let (all, done) = (AtomicU64::new(0), AtomicU64::new(0));
    // A signal handler or another thread may set it; packing then ends and leaves nothing behind.
    let cancel = AtomicBool::new(false);
    let monitor = Monitor {
        cancel: &cancel,
        begin: &|bytes| all.store(bytes, Ordering::Relaxed),
        progress: &|bytes| {
            let before = done.fetch_add(bytes, Ordering::Relaxed);
            let percent = |done: u64| 100 * done / all.load(Ordering::Relaxed).max(1);
            if percent(before) != percent(before + bytes) {
                eprintln!("{} %", percent(before + bytes));
            }
        },
        warn: &|text| eprintln!("warning: {text}"),
    };
    let options = PackOptions::default();
    let packed = pack(from, Some(to), &options, &monitor)?;
    for failure in &packed.failures {
        eprintln!("{failure}");
    }
    let totals = packed.totals;
    println!("{} -> {} bytes", totals.original_bytes, totals.stored_bytes);
    Ok(())
}
