//! A mount that stays in the foreground: made, announced once it answers, and unmounted when a signal
//! says so.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use signal_hook::iterator::Signals;

use super::answer::wait_for_answer;
use super::background::Background;
use super::metrics_server::MetricsServer;
use super::mount_process::READY;
use super::packer::Packer;
use super::supervisor::supervisor;
use super::watchdog::watch;
use crate::error::{Error, Result};
use crate::fuse::{Mounted, Unmount, Unmounter};
use crate::os::{ending_signals, start_thread};
use crate::printable::printable_name;
use crate::sync::lock;

/// What is served, and for whom.
pub(crate) struct Service<'a> {
    /// Where.
    pub(crate) mountpoint: &'a Path,
    /// What the supervisor is told of it.
    pub(crate) status: String,
    /// Whoever waits for nothing but the news that the mount answers.
    pub(crate) background: Background,
    /// Listens already, so that nothing is mounted where that fails.
    pub(crate) metrics: Option<MetricsServer>,
}

/// What is there while it is served.
pub(crate) struct Served {
    /// The mount.
    pub(crate) mounted: Mounted,
    /// What packs files behind those who write them.
    pub(crate) packer: Option<Packer>,
}

impl Service<'_> {
    /// Mounts, announces it, and stays until it is unmounted or told to end by a signal.
    ///
    /// # Errors
    /// Those of `mount`; `Environment` if the mount does not answer; `Io` if it cannot be announced, or
    /// the connection to the kernel broke.
    pub(crate) fn run(
        mut self,
        mount: impl FnOnce(Option<&MetricsServer>) -> Result<Served>,
    ) -> Result<()> {
        // Before mounting, so that no signal falls in between.
        let signals =
            Signals::new(ending_signals()).map_err(|e| Error::io("cannot handle signals", e))?;
        let Served { mounted, packer } = mount(self.metrics.as_ref())?;
        let packing = packer.clone();
        let unmounter = mounted.unmounter();
        let on_signals = mounted.unmounter();
        let ending = Arc::new(Mutex::new(false));
        let told_to_end = Arc::clone(&ending);
        let metrics = self.metrics.take();
        let metrics_url = metrics.as_ref().map(|metrics| metrics.url().to_owned());
        let ready = start_thread("signals", move || {
            unmount_on(
                signals,
                &on_signals,
                &told_to_end,
                metrics,
                packing.as_ref(),
            );
        })
        .and_then(|_| self.announce(&mounted, metrics_url.as_deref(), &ending));
        if let Err(error) = ready {
            // Nobody would know of it.
            let _ = unmounter.unmount();
            if !*lock(&ending) {
                return Err(error);
            }
        }
        let served = mounted.join();
        stop(packer.as_ref());
        // Held for good by a signal that ends the process at once, with a status of its own.
        drop(lock(&ending));
        served
    }

    /// Tells everybody who waits for it that the mount answers, once it does; nobody if it was told to
    /// end meanwhile.
    fn announce(
        &self,
        mounted: &Mounted,
        metrics_url: Option<&str>,
        ending: &Mutex<bool>,
    ) -> Result<()> {
        let supervisor = supervisor();
        wait_for_answer(self.mountpoint)?;
        {
            // Held while this is said, so that the end is not said before it.
            let ending = lock(ending);
            if *ending {
                // What answered may be the directory below the mount.
                return Ok(());
            }
            supervisor.ready(&self.status);
        }
        watch(supervisor, Arc::clone(mounted.progress()))?;
        self.background.let_go()?;
        if let Some(url) = metrics_url {
            tracing::info!("metrics: {url}");
        }
        let mut stdout = std::io::stdout().lock();
        let said = writeln!(stdout, "{READY}{}", printable_name(self.mountpoint))
            .and_then(|()| stdout.flush());
        match said {
            // Whoever asked for it was told to stop, and would take it for not mounted.
            Err(error) if self.background.is_wanted() => {
                Err(Error::io("cannot write to stdout", error))
            }
            // Somebody who closed stdout does not want to know.
            _ => Ok(()),
        }
    }
}

/// The first signal unmounts; another one ends the process, whoever is still reading.
fn unmount_on(
    mut signals: Signals,
    unmounter: &Unmounter,
    ending: &Mutex<bool>,
    mut metrics: Option<MetricsServer>,
    packer: Option<&Packer>,
) {
    for _ in signals.forever() {
        let mut is_ending = lock(ending);
        if *is_ending {
            tracing::warn!("ending at once; readers get an error");
            // Without this, a thread that waits in the kernel for another would keep the process.
            let _ = unmounter.abort();
            std::process::exit(2);
        }
        *is_ending = true;
        drop(is_ending);
        supervisor().stopping();
        stop(packer);
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

/// Nothing is packed from here on.
fn stop(packer: Option<&Packer>) {
    if let Some(packer) = packer {
        packer.stop();
    }
}
