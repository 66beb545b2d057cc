//! `mount` and `umount`.

use std::sync::Arc;
use std::time::Duration;

use super::args::{MountArgs, UmountArgs};
use super::process_args::NullMountArgs;
use crate::console::Outcome;
use crate::daemon::process::{allow_all_files, end_with_parent};
use crate::daemon::{
    Background, MetricsServer, Packer, Served, Service, guard, log_to_stderr, metrics,
};
use crate::error::{Error, Result};
use crate::fuse::{self, MountOptions};
use crate::os::{keep_allocations_apart, memory_limit, use_one_heap};
use crate::printable::printable_name;

/// With less memory, what heaps leave unused would count.
const ENOUGH_FOR_HEAPS_BYTES: u64 = 1 << 30;

pub(super) fn mount(args: &MountArgs) -> Result<Outcome> {
    let background = if args.process.background {
        Background::enter(args.process.log_file.as_deref())?
    } else {
        Background::not_wanted()
    };
    if args.process.parent.is_some() {
        end_with_parent(args.process.parent)?;
    }
    log_to_stderr()?;
    keep_allocations_apart();
    if memory_limit().is_some_and(|limit| limit.bytes < ENOUGH_FOR_HEAPS_BYTES) {
        use_one_heap();
    }
    allow_all_files();
    look_at_mountpoint(args)?;
    let service = Service {
        mountpoint: &args.mountpoint,
        status: format!(
            "{} on {}",
            printable_name(&args.src),
            printable_name(&args.mountpoint)
        ),
        background,
        metrics: args
            .metrics
            .map(|address| MetricsServer::listen(address, metrics::CONTENT_TYPE))
            .transpose()?,
    };
    let options = options(args);
    if let Some(warning) = options.memory_warning() {
        tracing::warn!("{warning}");
    }
    service.run(|metrics| {
        let (mounted, tree) = fuse::mount(&args.src, &args.mountpoint, &options)?;
        let push = args.push.into();
        mounted.read_ahead(&tree, push, guard::start(&mounted, push));
        if let Some(metrics) = metrics {
            let tree = Arc::clone(&tree);
            metrics.answer(move || metrics::page(&tree.stats()));
        }
        let after = Duration::from_secs_f64(args.pack_after);
        let packer = args
            .pack
            .map(|level| Packer::start(&mounted, &tree, level.name(), after));
        let packer = packer.transpose().inspect_err(|_| {
            // The caller gets nothing to unmount it with.
            let _ = mounted.unmounter().unmount();
        })?;
        Ok(Served { mounted, packer })
    })?;
    Ok(Outcome::Done)
}

/// `null-mount`: what `bench-mount` holds a mount against, and `doctor` asks the kernel with.
pub(super) fn null_mount(args: &NullMountArgs) -> Result<Outcome> {
    end_with_parent(Some(args.parent))?;
    log_to_stderr()?;
    let options = MountOptions {
        threads: args.threads,
        readahead_bytes: args.readahead,
        ..MountOptions::default()
    };
    let service = Service {
        mountpoint: &args.mountpoint,
        status: format!("nothing on {}", printable_name(&args.mountpoint)),
        background: Background::not_wanted(),
        metrics: None,
    };
    service.run(|_| {
        let mounted = fuse::mount_null(args.size, &args.mountpoint, &options)?;
        Ok(Served {
            mounted,
            packer: None,
        })
    })?;
    Ok(Outcome::Done)
}

/// Says what a mount point lacks, and what a mount hides. One that does not answer is left to what
/// recovers it.
///
/// # Errors
/// `InvalidInput` if it is no directory.
fn look_at_mountpoint(args: &MountArgs) -> Result<()> {
    let path = &args.mountpoint;
    let refuse = |why: &str| {
        let path = printable_name(path);
        Err(Error::InvalidInput(format!("mount point {path} {why}")))
    };
    match path.metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return refuse("does not exist; make the directory first");
        }
        Ok(meta) if !meta.is_dir() => return refuse("is not a directory"),
        Err(_) => return Ok(()),
        Ok(_) => {}
    }
    let is_source = || match (path.canonicalize(), args.src.canonicalize()) {
        (Ok(path), Ok(source)) => path == source,
        _ => true,
    };
    let has_files = || std::fs::read_dir(path).is_ok_and(|mut files| files.next().is_some());
    if !fuse::is_mounted(path)? && !is_source() && has_files() {
        tracing::warn!(
            "{} is not empty; what is in it is hidden as long as the mount is there",
            path.display()
        );
    }
    Ok(())
}

fn options(args: &MountArgs) -> MountOptions {
    let mut options = MountOptions {
        allow_other: args.allow_other,
        inode32: args.inode32,
        refuse_lossy: args.refuse_lossy,
        writable: args.writable,
        bases: args.bases.bases.clone(),
        ttl: Duration::from_secs_f64(args.ttl),
        no_exec: args.process.no_exec,
        ..args.serving.options()
    };
    if let Some(name) = &args.process.source_name {
        options.source_name.clone_from(name);
    }
    options
}

pub(super) fn umount(args: &UmountArgs) -> Result<Outcome> {
    if args.abort {
        if fuse::is_mounted(&args.mountpoint)? {
            fuse::abort(&args.mountpoint)?;
            fuse::unmount(&args.mountpoint, true)?;
        }
    } else {
        if let Err(e) = args.mountpoint.symlink_metadata()
            && e.kind() == std::io::ErrorKind::NotFound
        {
            let path = printable_name(&args.mountpoint);
            return Err(Error::InvalidInput(format!("{path} does not exist")));
        }
        fuse::unmount(&args.mountpoint, args.lazy)?;
    }
    Ok(Outcome::Done)
}
