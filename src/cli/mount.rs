//! `mount` and `umount`.

use std::io::IsTerminal;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

use super::args::{MountArgs, UmountArgs};
use super::{Outcome, print};
use crate::error::{Error, Result};
use crate::fs::Source;
use crate::fuse::{self, MountOptions, Unmount, Unmounter};

/// Names what is logged, in the syntax of the tracing libraries, e.g. `weightfs=debug`.
const LOG_VARIABLE: &str = "WEIGHTFS_LOG";
/// The binding to FUSE warns of every request that a read-only file system need not know.
const DEFAULT_LOG: &str = "warn,weightfs=info,fuser=error";

pub(super) fn mount(args: &MountArgs) -> Result<Outcome> {
    log_to_stderr()?;
    let mut options = MountOptions {
        cache_bytes: args.cache_size,
        readahead_bytes: args.readahead,
        allow_other: args.allow_other,
        ttl: Duration::from_secs_f64(args.ttl),
        ..MountOptions::default()
    };
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    // Before mounting, so that no signal falls in between.
    let signals =
        Signals::new([SIGINT, SIGTERM]).map_err(|e| Error::io("cannot handle signals", e))?;
    let mounted = fuse::mount(Source::open(&args.src)?, &args.mountpoint, &options)?;
    let unmounter = mounted.unmounter();
    std::thread::spawn(move || unmount_on(signals, &unmounter));
    fuse::supervisor().ready(&format!(
        "{} on {}",
        args.src.display(),
        args.mountpoint.display()
    ));
    // Somebody who closed stdout does not want to know.
    let _ = print(&format!("ready: {}", args.mountpoint.display()));
    mounted.join()?;
    Ok(Outcome::Done)
}

/// The first signal unmounts; another one ends the process, whoever is still reading.
fn unmount_on(mut signals: Signals, unmounter: &Unmounter) {
    let mut again = false;
    for _ in signals.forever() {
        if again {
            tracing::warn!("ending at once; readers get an error");
            std::process::exit(2);
        }
        fuse::supervisor().stopping();
        match unmounter.unmount() {
            Ok(Unmount::Done) => {}
            Ok(Unmount::Detached) => {
                tracing::warn!(
                    "files are still open; the mount point is free, and this process ends when \
                     they are closed, or at once on another signal"
                );
                again = true;
            }
            Err(error) => {
                tracing::error!("{error}");
                again = true;
            }
        }
    }
}

pub(super) fn umount(args: &UmountArgs) -> Result<Outcome> {
    fuse::unmount(&args.mountpoint, args.lazy)?;
    Ok(Outcome::Done)
}

fn log_to_stderr() -> Result<()> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| DEFAULT_LOG.into());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|e| Error::InvalidInput(format!("{LOG_VARIABLE}={wanted}: {e}")))?;
    // Whoever set a subscriber before wants to keep it.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    Ok(())
}
