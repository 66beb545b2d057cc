//! The program: which command is meant, and how it ends.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::args::{Args, Command};
use super::{
    adopt, analyze, commands, completions, demo, doctor, family, man, mount, mount_helper,
    pack_behind, stats, sweep,
};
#[cfg(feature = "comparison")]
use crate::bench::{codecs as bench, mounts as bench_mount};
use crate::console::{Outcome, is_broken_pipe, say};
use crate::daemon::{ask, guard};
use crate::error::{Error, Result};
use crate::os::{own_limit, use_one_heap};
use crate::printable::printable_name;

/// Says what is wrong with the arguments, or helps, and ends.
fn refuse(error: &clap::Error) -> ! {
    let given: Vec<_> = std::env::args_os().skip(1).collect();
    // As one mounts with many other programs.
    if error.kind() == ErrorKind::InvalidSubcommand
        && let [source, mountpoint] = &given[..]
        && Path::new(source).exists()
    {
        say(&format!(
            "weightfs: '{}' is no command; to mount it: weightfs mount {0} {}",
            printable_name(source),
            printable_name(mountpoint)
        ));
        std::process::exit(error.exit_code());
    }
    // A shell may have made an argument of the name of a file: what is wrong with it is wrong with its
    // printable form.
    let printable = std::env::args_os().map(|argument| printable_name(&argument));
    match Args::try_parse_from(printable) {
        Err(error) => error.exit(),
        Ok(_) => {
            say("weightfs: the arguments are not UTF-8");
            std::process::exit(error.exit_code())
        }
    }
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let mut given = std::env::args_os();
    if mount_helper::is_called_as(given.next().as_deref()) {
        return mount_helper::run(given);
    }
    let given: Vec<_> = given.collect();
    if mount_helper::is_meant_by(&given) {
        return mount_helper::run(given.into_iter());
    }
    let args = Args::try_parse().unwrap_or_else(|error| refuse(&error));
    let outcome = check_memory(&args.command).and_then(|()| run_command(&args.command));
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::DamageFound | Outcome::Hindered) => ExitCode::from(1),
        Ok(Outcome::SomeFailed) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("weightfs: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run_command(command: &Command) -> Result<Outcome> {
    match command {
        Command::Pack(args) if args.detach => family::detach(args),
        Command::Pack(args) => commands::pack(args),
        Command::Unpack(args) => commands::unpack(args),
        Command::Verify(args) => commands::verify(args),
        Command::Inspect(args) => commands::inspect(args),
        Command::Analyze(args) => analyze::analyze(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Adopt(args) => adopt::adopt(args),
        Command::Mount(args) => mount::mount(args),
        Command::Umount(args) => mount::umount(args),
        Command::Stats(args) => stats::stats(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Family(args) => family::family(args),
        Command::Dedup(args) => family::dedup(args),
        Command::Gc(args) => family::gc(args),
        Command::Export(args) => family::export(args),
        Command::Ask(args) => ask(&args.mountpoint).map(|()| Outcome::Done),
        Command::Guard(args) => guard::guard(&args.device, args.parent).map(|()| Outcome::Done),
        Command::NullMount(args) => mount::null_mount(args),
        Command::PackBehind(args) => pack_behind::pack_behind(args),
        Command::Demo(args) => demo::demo(args),
        Command::Man(args) => man::man(args),
        Command::Completions(args) => completions::completions(args),
        #[cfg(feature = "comparison")]
        Command::Bench(args) => bench::bench(args),
        #[cfg(feature = "comparison")]
        Command::BenchOne(args) => bench::bench_one(args),
        #[cfg(feature = "comparison")]
        Command::BenchMount(args) => bench_mount::bench_mount(args),
        #[cfg(feature = "comparison")]
        Command::ReadStripe(args) => bench_mount::read_stripe(args),
    }
}

/// What the smallest of jobs needs, with room to spare: memory that is refused in its midst would end
/// the program there.
const ENOUGH_BYTES: u64 = 64 << 20;

/// # Errors
/// `Environment` if the limits of this process leave too little memory.
fn check_memory(command: &Command) -> Result<()> {
    let Some(limit) = own_limit() else {
        return Ok(());
    };
    use_one_heap();
    // Whoever has mounted with more must be able to end that.
    if matches!(command, Command::Umount(_)) {
        return Ok(());
    }
    if limit.bytes >= ENOUGH_BYTES {
        return Ok(());
    }
    Err(Error::Environment(format!(
        "{} is {} MiB, and at least {} MiB are needed; raise the limit",
        limit.by,
        limit.bytes >> 20,
        ENOUGH_BYTES >> 20
    )))
}
