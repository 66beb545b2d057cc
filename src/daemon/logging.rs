//! Where messages go: to stderr, without waiting for whoever reads that.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::SyncSender;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format;

use crate::error::{Error, Result};
use crate::os::start_thread;
use crate::printable::Printable;

/// Names what is logged, in the syntax of the tracing libraries, e.g. `weightfs=debug`.
const LOG_VARIABLE: &str = "WEIGHTFS_LOG";
/// The binding to FUSE warns of every request that a read-only file system need not know.
const DEFAULT_LOG: &str = "warn,weightfs=info,fuser=error";

/// Messages that wait to be written; what comes when so many wait is dropped.
const MAX_MESSAGES_WAITING: usize = 1000;

/// Logs through a thread of its own: whoever reads stderr may be slow or gone, and must keep no
/// reader of the mount waiting.
///
/// # Errors
/// `InvalidInput` if the variable asks for something that cannot be understood, `Environment` if no thread
/// can be started.
pub(crate) fn log_to_stderr() -> Result<()> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| DEFAULT_LOG.into());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|e| Error::InvalidInput(format!("{LOG_VARIABLE}={wanted}: {e}")))?;
    let (send, receive) = std::sync::mpsc::sync_channel::<Vec<u8>>(MAX_MESSAGES_WAITING);
    start_thread("log", move || {
        for message in receive {
            // There is nowhere to say that it cannot be said.
            let _ = io::stderr().write_all(&message);
        }
    })?;
    // Whoever set a subscriber before wants to keep it.
    let _ = tracing_subscriber::fmt()
        .fmt_fields(format::debug_fn(write_field).delimited(" "))
        .with_env_filter(filter)
        .with_writer(move || LogWriter(send.clone()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

/// Writes what a message says, or a value it has besides: printable, whatever names stand in it. What
/// the library puts around them may have colours.
fn write_field(out: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(out, "{field}=")?;
    }
    fmt::Write::write_fmt(&mut Printable(out), format_args!("{value:?}"))
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
