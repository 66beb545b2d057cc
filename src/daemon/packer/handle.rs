//! Starting and ending the thread that packs.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::inbox::Inbox;
use super::worker::Worker;
use crate::error::Result;
use crate::fs::ModelTree;
use crate::fuse::Mounted;
use crate::os::start_thread;
use crate::sync::lock;

/// Packs what is written to a mount, until it or the mount ends.
#[derive(Clone)]
pub(crate) struct Packer(Arc<Thread>);

struct Thread {
    inbox: Arc<Inbox>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Packer {
    /// Has files of a mount be packed at a level once nobody has touched them for a while.
    ///
    /// # Errors
    /// `Environment` if no thread can be started.
    pub(crate) fn start(
        mounted: &Mounted,
        tree: &Arc<ModelTree>,
        level: &'static str,
        after: Duration,
    ) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let written = Arc::clone(&inbox);
        tree.tell_of_written(Box::new(move |path| written.tell(path)));
        let worker = Worker::new(
            Arc::clone(tree),
            Arc::clone(mounted.progress()),
            level,
            after,
            Arc::clone(&inbox),
        );
        let running = Mutex::new(Some(start_thread("packer", move || worker.run())?));
        let packer = Self(Arc::new(Thread { inbox, running }));
        let ending = packer.clone();
        tree.before_end(Box::new(move || ending.stop()));
        Ok(packer)
    }

    /// Ends it, and with it what is half done.
    pub(crate) fn stop(&self) {
        self.0.inbox.end();
        if let Some(thread) = lock(&self.0.running).take() {
            let _ = thread.join();
        }
    }
}
