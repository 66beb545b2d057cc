//! Several processes that read one file, each its own part: starting them, and being one.
//!
//! A process says a word when it has opened the file, after each so many pieces, and at the end; it
//! begins when it is told a word.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::args::ReadStripeArgs;
use super::reader::{PIECE_BYTES, Reader, stripe};
use super::watch::Watch;
use crate::bench::process::OwnProcess;
use crate::console::Stop;
use crate::console::{Outcome, print};
use crate::daemon::process::{end_with_parent, own_program};
use crate::error::{Error, Result};
use crate::os::{PageBuffer, in_scope};

const OPEN: &str = "open";
const GOES_ON: &str = "goes on";
const DONE: &str = "done";
/// Pieces between two words.
const PIECES: usize = 64;

/// Reads a file by `count` processes at once; returns the seconds from telling them to begin until
/// the last one is done.
pub(super) fn run(reader: &Reader<'_>, count: u64) -> Result<f64> {
    let mut readers = (0..count)
        .map(|number| Stripe::start(reader, number, count))
        .collect::<Result<Vec<_>>>()?;
    for stripe in &mut readers {
        stripe.wait_for(OPEN, reader)?;
    }
    let start = Instant::now();
    for stripe in &mut readers {
        stripe.begin(reader)?;
    }
    thread::scope(|scope| {
        let waiting: Vec<_> = readers
            .iter_mut()
            .map(|stripe| in_scope(scope, || stripe.wait_for(DONE, reader)))
            .collect::<Result<_>>()?;
        for one in waiting {
            let panicked = || reader.cannot(io::Error::other("a thread panicked"));
            one.join().unwrap_or_else(|_| Err(panicked()))?;
        }
        Ok(start.elapsed().as_secs_f64())
    })
}

/// A process that reads a part; ended when this is dropped.
struct Stripe {
    process: OwnProcess,
    words: Box<dyn BufRead + Send>,
}

impl Stripe {
    fn start(reader: &Reader<'_>, number: u64, count: u64) -> Result<Self> {
        let cannot = |e| Error::io("cannot start a process that reads", e);
        let part = stripe(reader.bytes, number, count);
        let mut command = own_program().map_err(cannot)?;
        command
            .args(["read-stripe", "--start", &part.start.to_string()])
            .args(["--end", &part.end.to_string(), "--"])
            .arg(reader.path)
            .stdin(Stdio::piped());
        let mut process = OwnProcess::start(&mut command).map_err(cannot)?;
        let words: Box<dyn BufRead + Send> = match process.stdout() {
            Some(pipe) => Box::new(BufReader::new(pipe)),
            None => Box::new(io::empty()),
        };
        Ok(Self { process, words })
    }

    fn begin(&mut self, reader: &Reader<'_>) -> Result<()> {
        let told = match self.process.stdin() {
            Some(pipe) => pipe.write_all(b"begin\n"),
            None => Ok(()),
        };
        told.map_err(|e| reader.cannot(e))
    }

    fn wait_for(&mut self, word: &str, reader: &Reader<'_>) -> Result<()> {
        loop {
            let mut line = String::new();
            let read = self.words.read_line(&mut line);
            reader.watch.beat()?;
            match line.trim() {
                found if found == word => return Ok(()),
                GOES_ON => {}
                _ => {
                    read.map_err(|e| reader.cannot(e))?;
                    return Err(self.failed());
                }
            }
        }
    }

    fn failed(&mut self) -> Error {
        let complaint = self.process.complaint();
        Error::InvalidInput(
            complaint.unwrap_or_else(|| "a process that reads ended early".to_owned()),
        )
    }
}

/// `read-stripe`: reads a part in this process.
pub(crate) fn read_stripe(args: &ReadStripeArgs) -> Result<Outcome> {
    end_with_parent(None)?;
    let stop = Stop::on_signals()?;
    let cannot = |e| Error::io(format!("cannot read {}", args.file.display()), e);
    let file = File::open(&args.file).map_err(cannot)?;
    let reader = Reader {
        path: &args.file,
        file: &file,
        bytes: file.metadata().map_err(cannot)?.len(),
        // Whoever waits for this process watches over it.
        watch: &Watch::new(&stop, Duration::MAX)?,
    };
    let mut buffer = PageBuffer::new(PIECE_BYTES);
    print(OPEN)?;
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| Error::io("cannot read stdin", e))?;
    if line.is_empty() {
        // Nobody wants it any more.
        return Err(Error::Interrupted);
    }
    let mut pieces = 0;
    reader.read_range(args.start..args.end, &mut buffer, || {
        pieces += 1;
        if pieces % PIECES == 0 {
            // Should nobody listen, the next word tells.
            let _ = print(GOES_ON);
        }
    })?;
    print(DONE)?;
    Ok(Outcome::Done)
}
