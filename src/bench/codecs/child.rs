//! One measurement of `bench` in a process of its own: starting it, and being it.
//!
//! Its own process, so that its peak of memory is its own, and that no other contender leaves it a
//! heap that is warm or torn.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use super::args::{BenchOneArgs, BenchWork};
use super::contender::Contender;
use super::measured::{Measured, decode, encode};
use crate::bench::process::{OwnProcess, text_of};
use crate::console::{Outcome, Stop, print_json, watched};
use crate::daemon::process::{end_with_parent, own_program};
use crate::error::{Error, Result};

/// One measurement.
pub(crate) struct Task<'a> {
    pub(crate) work: BenchWork,
    pub(crate) contender: Contender,
    pub(crate) threads: NonZeroUsize,
    /// The original.
    pub(crate) file: &'a Path,
    /// What the contender takes beside it.
    pub(crate) base: Option<&'a Path>,
    /// The archive or compressed file.
    pub(crate) stored: &'a Path,
}

/// How often a process is asked whether it has ended: soon at first, since on a small file it ends
/// at once; seldom later, to leave the processor to it.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

impl Task<'_> {
    /// Measures in another process. `waiting` is told from time to time how long it has been.
    ///
    /// # Errors
    /// What the process reported, with the contender's name; `Interrupted`.
    pub(crate) fn run(&self, stop: &Stop, waiting: impl Fn(Duration)) -> Result<Measured> {
        let cannot = |e| Error::io(format!("{}: cannot start a process", self.contender), e);
        let mut command = self.command().map_err(cannot)?;
        let mut process = OwnProcess::start(&mut command).map_err(cannot)?;
        let start = Instant::now();
        let mut wait = FIRST_WAIT;
        let status = loop {
            // Before looking for its end: a signal of the terminal reaches both.
            let ended = process.ended().map_err(cannot)?;
            stop.check()?;
            if let Some(status) = ended {
                break status;
            }
            waiting(start.elapsed());
            thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        };
        self.outcome(status, &mut process)
    }

    fn command(&self) -> std::io::Result<Command> {
        let mut command = own_program()?;
        command
            .arg("bench-one")
            .args(["--threads", &self.threads.to_string()]);
        if let Some(base) = self.base {
            command.arg("--base").arg(base);
        }
        command.arg("--");
        let contender = self.contender.to_string();
        match self.work {
            BenchWork::Encode => command
                .args(["encode", &contender])
                .args([self.file, self.stored]),
            BenchWork::Decode => command.args(["decode", &contender]).arg(self.stored),
        };
        Ok(command)
    }

    fn outcome(&self, status: ExitStatus, process: &mut OwnProcess) -> Result<Measured> {
        let said = process.stdout().map(text_of).unwrap_or_default();
        if status.success()
            && let Ok(measured) = serde_json::from_str(&said)
        {
            return Ok(measured);
        }
        let reason = process
            .complaint()
            .unwrap_or_else(|| format!("its process ended with {status}"));
        let doing = match self.work {
            BenchWork::Encode => "encode",
            BenchWork::Decode => "decode",
        };
        Err(Error::InvalidInput(format!(
            "{} could not {doing}: {reason}",
            self.contender
        )))
    }
}

/// `bench-one`: measures in this process.
pub(crate) fn bench_one(args: &BenchOneArgs) -> Result<Outcome> {
    // Whoever waits for the figures may be killed; nobody needs them then.
    end_with_parent(None)?;
    let [contender] = Contender::parse_list(&args.contender, args.base.is_some())?[..] else {
        return Err(Error::InvalidInput(format!(
            "'{}' are several codecs; only one can be measured",
            args.contender
        )));
    };
    let measured = watched("measuring", &Stop::on_signals()?, |monitor| {
        let from = (&*args.from, args.base.as_deref());
        match (args.work, &args.to) {
            (BenchWork::Encode, Some(to)) => encode(contender, from, to, args.threads, monitor),
            (BenchWork::Encode, None) => Err(Error::InvalidInput("name a file to write".into())),
            (BenchWork::Decode, _) => decode(contender, from, args.threads, monitor),
        }
    })?;
    print_json(&measured)?;
    Ok(Outcome::Done)
}
