//! Whether SRC still names what is shown.
//!
//! A mount shows the directory that it opened, whatever becomes of its name: one that is renamed away,
//! replaced, unmounted, or that something else is mounted over later is served as before. Nobody would
//! notice, so it is said. The mount itself, which may lie over SRC, is never entered: who serves it must
//! not wait for it. No reader waits for this thread, which a network file system may hold up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::mountinfo::mounts_of;
use crate::error::{Error, Result};
use crate::fs::ModelTree;
use crate::os::{Walked, start_thread, walk};

const INTERVAL: Duration = Duration::from_secs(2);

/// What SRC names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    TheSource,
    Something,
    /// With what the system says of it.
    Nothing(String),
}

/// Tells the tree what it must not enter, and has a thread look at intervals, for as long as the tree is
/// in use.
///
/// # Errors
/// `Environment` if no thread can be started.
pub(super) fn watch(tree: &Arc<ModelTree>, device: &str) -> Result<()> {
    tree.source().set_own_device(device);
    let (tree, device) = (Arc::downgrade(tree), device.to_owned());
    start_thread("source", move || look_at_intervals(&tree, &device)).map(drop)
}

fn look_at_intervals(tree: &Weak<ModelTree>, device: &str) {
    let mut before = Named::TheSource;
    loop {
        std::thread::sleep(INTERVAL);
        let Some(tree) = tree.upgrade() else { return };
        // Where nobody comes who does so.
        tree.let_go();
        let now = match named(&tree, device) {
            Ok(Some(now)) => now,
            // Over SRC lies the mount.
            Ok(None) => continue,
            Err(error) => Named::Nothing(error.to_string()),
        };
        if now == before {
            continue;
        }
        tree.set_source_changed(now != Named::TheSource);
        tell(&tree, &now);
        before = now;
    }
}

fn named(tree: &ModelTree, device: &str) -> Result<Option<Named>> {
    let own = mounts_of(device)?;
    let source = tree.source();
    let look = || match walk(source.known_as(), |mount| !own.contains(&mount))? {
        Walked::Refused => Ok(None),
        Walked::To(handle) if source.is_root(&handle)? => Ok(Some(Named::TheSource)),
        Walked::To(_) => Ok(Some(Named::Something)),
    };
    look().map_err(|e: std::io::Error| Error::io("SRC", e))
}

fn tell(tree: &ModelTree, now: &Named) {
    let name = tree.source().known_as().display();
    match now {
        Named::TheSource => tracing::info!("{name} is the directory again that is shown"),
        Named::Something => tracing::warn!(
            "{name} is another directory now than the one that was mounted: something was renamed, \
             unmounted or mounted there. The former one is shown on; unmount and mount again to show this one"
        ),
        Named::Nothing(why) => {
            tracing::warn!("{name} cannot be found any more ({why}). What was mounted is shown on")
        }
    }
}
