//! `mount` and `umount`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

use super::args::{MountArgs, UmountArgs};
#[cfg(feature = "comparison")]
use crate::bench::mounts::{NullMountArgs, mount_null};
use crate::console::{Outcome, print};
use crate::daemon::background::{self, Background};
use crate::daemon::metrics;
use crate::daemon::metrics_server::MetricsServer;
use crate::daemon::process::{allow_all_files, end_with_parent};
use crate::daemon::{self, guard, supervisor};
use crate::error::{Error, Result};
use crate::fuse::{self, MountOptions, Mounted, Push, Unmount, Unmounter};
use crate::os::keep_allocations_apart;
use crate::sync::lock;

/// Names what is logged, in the syntax of the tracing libraries, e.g. `weightfs=debug`.
const LOG_VARIABLE: &str = "WEIGHTFS_LOG";
/// The binding to FUSE warns of every request that a read-only file system need not know.
const DEFAULT_LOG: &str = "warn,weightfs=info,fuser=error";

pub(super) fn mount(args: &MountArgs) -> Result<Outcome> {
    let background = Background::enter(&args.background)?;
    if args.background.parent.is_some() {
        end_with_parent(args.background.parent)?;
    }
    log_to_stderr()?;
    keep_allocations_apart();
    allow_all_files();
    // Before mounting, so that nothing is mounted if that fails.
    let metrics = args
        .metrics
        .map(|address| MetricsServer::listen(address, metrics::CONTENT_TYPE))
        .transpose()?;
    let metrics_url = metrics.as_ref().map(|metrics| metrics.url().to_owned());
    serve(
        metrics,
        |metrics| {
            let (mounted, tree) = fuse::mount(&args.src, &args.mountpoint, &options(args))?;
            mounted.read_ahead(&tree, guarded(&mounted, args.push.into()));
            if let Some(metrics) = metrics {
                metrics.answer(move || metrics::page(&tree.stats()));
            }
            Ok(mounted)
        },
        |mounted, ending| announce(args, mounted, &background, metrics_url.as_deref(), ending),
    )
}

/// `null-mount`: what `bench-mount` holds a mount against.
#[cfg(feature = "comparison")]
pub(super) fn null_mount(args: &NullMountArgs) -> Result<Outcome> {
    end_with_parent(Some(args.parent))?;
    log_to_stderr()?;
    let options = MountOptions {
        threads: args.threads,
        readahead_bytes: args.readahead,
        ..MountOptions::default()
    };
    serve(
        None,
        |_| mount_null(args.size, &args.mountpoint, &options),
        |_, _| {
            background::wait_for_answer(&args.mountpoint)?;
            print_ready(&args.mountpoint)
        },
    )
}

/// Mounts, announces it, and stays until it is unmounted or told to end by a signal.
fn serve(
    metrics: Option<MetricsServer>,
    mount: impl FnOnce(Option<&MetricsServer>) -> Result<Mounted>,
    announce: impl FnOnce(&Mounted, &Mutex<bool>) -> Result<()>,
) -> Result<Outcome> {
    // Before mounting, so that no signal falls in between.
    let signals =
        Signals::new(ending_signals()).map_err(|e| Error::io("cannot handle signals", e))?;
    let mounted = mount(metrics.as_ref())?;
    let unmounter = mounted.unmounter();
    let on_signals = mounted.unmounter();
    let ending = Arc::new(Mutex::new(false));
    let told_to_end = Arc::clone(&ending);
    std::thread::spawn(move || unmount_on(signals, &on_signals, &told_to_end, metrics));
    if let Err(error) = announce(&mounted, &ending) {
        // Nobody would know of it.
        let _ = unmounter.unmount();
        if !*lock(&ending) {
            return Err(error);
        }
    }
    mounted.join()?;
    Ok(Outcome::Done)
}

/// When to push, as far as that is safe.
fn guarded(mounted: &Mounted, push: Push) -> Push {
    if push == Push::Never {
        return push;
    }
    match guard::start(mounted.device()) {
        Ok(()) => push,
        Err(error) => {
            tracing::warn!("nothing is pushed into the page cache: {error}");
            Push::Never
        }
    }
}

fn options(args: &MountArgs) -> MountOptions {
    let mut options = MountOptions {
        allow_other: args.allow_other,
        ttl: Duration::from_secs_f64(args.ttl),
        no_exec: args.background.no_exec,
        ..args.serving.options()
    };
    if let Some(name) = &args.background.source_name {
        options.source_name.clone_from(name);
    }
    options
}

/// Tells everybody who waits for it that the mount answers, once it does; nobody if it was told to
/// end meanwhile.
fn announce(
    args: &MountArgs,
    mounted: &Mounted,
    background: &Background,
    metrics_url: Option<&str>,
    ending: &Mutex<bool>,
) -> Result<()> {
    let supervisor = supervisor();
    background::wait_for_answer(&args.mountpoint)?;
    {
        // Held while this is said, so that the end is not said before it.
        let ending = lock(ending);
        if *ending {
            // What answered may be the directory below the mount.
            return Ok(());
        }
        supervisor.ready(&format!(
            "{} on {}",
            args.src.display(),
            args.mountpoint.display()
        ));
    }
    daemon::watch(supervisor, Arc::clone(mounted.progress()));
    background.let_go()?;
    if let Some(url) = metrics_url {
        tracing::info!("metrics: {url}");
    }
    match print_ready(&args.mountpoint) {
        // Whoever asked for it was told to stop, and would take it for not mounted.
        Err(error) if background.is_wanted() => Err(error),
        // Somebody who closed stdout does not want to know.
        _ => Ok(()),
    }
}

fn print_ready(mountpoint: &Path) -> Result<()> {
    print(&format!("ready: {}", mountpoint.display()))
}

/// The signals that unmount. A terminal that goes away is one, unless whoever started the program
/// (nohup) said that it is not.
fn ending_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let hangup_is_ignored = ignored >> (SIGHUP - 1) & 1 == 1;
    let mut signals = vec![SIGINT, SIGTERM];
    if !hangup_is_ignored {
        signals.push(SIGHUP);
    }
    signals
}

/// The first signal unmounts; another one ends the process, whoever is still reading.
fn unmount_on(
    mut signals: Signals,
    unmounter: &Unmounter,
    ending: &Mutex<bool>,
    mut metrics: Option<MetricsServer>,
) {
    for _ in signals.forever() {
        if std::mem::replace(&mut *lock(ending), true) {
            tracing::warn!("ending at once; readers get an error");
            // Without this, a thread that waits in the kernel for another would keep the process.
            let _ = unmounter.abort();
            std::process::exit(2);
        }
        supervisor().stopping();
        match unmounter.unmount() {
            Ok(Unmount::Done) => {}
            Ok(Unmount::Detached) => {
                // The next one that is mounted there will want the port.
                if let Some(metrics) = metrics.take() {
                    metrics.close();
                }
                tracing::warn!(
                    "files are still open; the mount point is free, and this process ends when \
                     they are closed, or at once on another signal"
                );
            }
            Err(error) => tracing::error!("{error}"),
        }
    }
}

pub(super) fn umount(args: &UmountArgs) -> Result<Outcome> {
    if args.abort {
        if fuse::is_mounted(&args.mountpoint)? {
            fuse::abort(&args.mountpoint)?;
            fuse::unmount(&args.mountpoint, true)?;
        }
    } else {
        fuse::unmount(&args.mountpoint, args.lazy)?;
    }
    Ok(Outcome::Done)
}

/// Messages that wait to be written; what comes when so many wait is dropped.
const MESSAGES_WAITING: usize = 1000;

/// Logs through a thread of its own: whoever reads stderr may be slow or gone, and must keep no
/// reader of the mount waiting.
fn log_to_stderr() -> Result<()> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| DEFAULT_LOG.into());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|e| Error::InvalidInput(format!("{LOG_VARIABLE}={wanted}: {e}")))?;
    let (send, receive) = std::sync::mpsc::sync_channel::<Vec<u8>>(MESSAGES_WAITING);
    std::thread::spawn(move || {
        for message in receive {
            // There is nowhere to say that it cannot be said.
            let _ = io::stderr().write_all(&message);
        }
    });
    // Whoever set a subscriber before wants to keep it.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || LogWriter(send.clone()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

/// Takes one message, and never waits.
struct LogWriter(SyncSender<Vec<u8>>);

impl Write for LogWriter {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(message.to_vec());
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
