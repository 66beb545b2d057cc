//! Mounts under a supervisor, from fstab and from units: what systemd and mount(8) rely on.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use support::{Mount, Place, Watched, is_mounted, model, signal, umount, weightfs};

/// Where `WATCHDOG_USEC` is long, messages come in time on a busy machine as well.
const LIMIT: Duration = Duration::from_secs(60);

/// The end of the socket that systemd has.
struct Supervisor {
    socket: UnixDatagram,
    name: PathBuf,
}

impl Supervisor {
    fn new(place: &Place) -> Self {
        let name = place.root.path().join("notify");
        let socket = UnixDatagram::bind(&name).unwrap();
        Self::with(socket, name)
    }

    fn with(socket: UnixDatagram, name: PathBuf) -> Self {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, name }
    }

    /// `weightfs mount` with these variables, and `WATCHDOG_PID` set to its own id.
    fn command(&self, place: &Place, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"WATCHDOG_PID=${WATCHDOG_PID:-$$} exec "$0" "$@""#])
            .arg(weightfs().get_program())
            .args(["mount", "--ttl", "0"])
            .args([&place.source, &place.mountpoint])
            .env("NOTIFY_SOCKET", &self.name)
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .envs(variables.iter().copied());
        command
    }

    fn mount(&self, place: &Place, variables: &[(&str, &str)]) -> Mount {
        Mount::spawn(self.command(place, variables), &place.mountpoint, LIMIT)
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 500];
        let len = loop {
            match self.socket.recv(&mut buffer) {
                // A wait with a limit is not taken up again by itself.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    /// True if nothing comes for so long.
    fn is_silent_for(&self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let heard = self.socket.recv(&mut [0; 500]);
        self.socket.set_read_timeout(Some(LIMIT)).unwrap();
        matches!(heard, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

#[test]
fn ready_is_sent_when_the_mount_answers_and_stopping_when_it_is_told_to_end() {
    let place = Place::new();
    let original = model(20, 1);
    place.pack("m", &original);
    let _watched = Watched::new(&place.mountpoint);
    let path_named = Supervisor::new(&place);
    let name = format!("weightfs-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let abstract_named = Supervisor::with(
        UnixDatagram::bind_addr(&address).unwrap(),
        format!("@{name}").into(),
    );
    for supervisor in [path_named, abstract_named] {
        let mount = std::thread::scope(|scope| {
            // In the meantime; it returns later than the message comes.
            let mount = scope.spawn(|| supervisor.mount(&place, &[]));
            let ready = supervisor.hear();
            assert!(ready.starts_with("READY=1\n"), "{ready}");
            assert!(fs::read(place.mountpoint.join("m")).unwrap() == original);
            mount.join().unwrap()
        });
        signal(mount.pid(), "TERM");
        assert_eq!(supervisor.hear(), "STOPPING=1");
        assert!(mount.wait().success());
        assert!(!is_mounted(&place.mountpoint));
    }
}

#[test]
fn a_mount_that_cannot_be_made_is_never_ready() {
    let place = Place::new();
    let supervisor = Supervisor::new(&place);
    fs::remove_dir(&place.mountpoint).unwrap();
    let output = supervisor.command(&place, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(supervisor.is_silent_for(Duration::from_millis(1)));
}

#[test]
fn the_watchdog_is_fed_twice_in_each_interval() {
    let place = Place::new();
    let supervisor = Supervisor::new(&place);
    let interval = Duration::from_secs(2);
    let mount = supervisor.mount(&place, &[("WATCHDOG_USEC", "2000000")]);
    assert!(supervisor.hear().starts_with("READY=1\n"));
    assert_eq!(supervisor.hear(), "WATCHDOG=1");
    let start = Instant::now();
    for _ in 0..4 {
        let last = Instant::now();
        assert_eq!(supervisor.hear(), "WATCHDOG=1");
        assert!(last.elapsed() < interval);
    }
    assert!(start.elapsed() > interval, "no more often than asked for");
    mount.stop();
}

#[test]
fn the_watchdog_of_another_process_is_left_alone() {
    let place = Place::new();
    let supervisor = Supervisor::new(&place);
    let variables = [("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")];
    let mount = supervisor.mount(&place, &variables);
    assert!(supervisor.hear().starts_with("READY=1\n"));
    assert!(supervisor.is_silent_for(Duration::from_millis(500)));
    mount.stop();
    assert_eq!(supervisor.hear(), "STOPPING=1");
}

#[test]
fn the_watchdog_is_not_fed_while_a_request_is_stuck() {
    // The source is a mount as well, whose daemon can be made to answer nothing.
    let (below, place) = (Place::new(), Place::new());
    below.write("f", b"plain");
    let source = Mount::with(&below.source, &place.source, &["--ttl", "0"], LIMIT);
    let supervisor = Supervisor::new(&place);
    let mount = supervisor.mount(&place, &[("WATCHDOG_USEC", "1000000")]);
    assert!(supervisor.hear().starts_with("READY=1\n"));
    assert_eq!(supervisor.hear(), "WATCHDOG=1");
    signal(source.pid(), "STOP");
    let mut reader = Command::new("cat")
        .arg(mount.path("f"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stuck = Instant::now();
    // It goes on for as long as a request may take.
    while !supervisor.is_silent_for(Duration::from_millis(1500)) {
        assert!(stuck.elapsed() < LIMIT / 4, "still fed");
    }
    signal(source.pid(), "CONT");
    assert_eq!(supervisor.hear(), "WATCHDOG=1");
    assert!(reader.wait().unwrap().success());
    mount.stop();
    source.stop();
}

/// What a process said until it ended, in order.
fn all_heard(supervisor: &Supervisor) -> Vec<String> {
    let mut said = Vec::new();
    let mut buffer = [0; 500];
    supervisor.socket.set_nonblocking(true).unwrap();
    while let Ok(len) = supervisor.socket.recv(&mut buffer) {
        let message = String::from_utf8_lossy(&buffer[..len]);
        said.push(message.lines().next().unwrap_or_default().to_owned());
    }
    supervisor.socket.set_nonblocking(false).unwrap();
    said
}

/// A supervisor must hear one of these, and nothing else.
const SENSIBLE: [&[&str]; 3] = [&[], &["STOPPING=1"], &["READY=1", "STOPPING=1"]];

/// Ends within the limit, with the status of one that did as it was told: by itself, or by the signal
/// where that came before the program could take it.
fn ends_as_told(mut child: Child) {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT / 2 {
            signal(child.id(), "KILL");
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let is_told = status.success() || status.signal() == Some(libc::SIGTERM);
    assert!(is_told, "{status}");
}

#[test]
fn a_signal_at_any_moment_of_the_start_ends_it_and_leaves_no_mount() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let _watched = Watched::new(&place.mountpoint);
    let supervisor = Supervisor::new(&place);
    for round in 0..60 {
        let mut command = weightfs();
        command
            .arg("mount")
            .args([&place.source, &place.mountpoint])
            .env("NOTIFY_SOCKET", &supervisor.name)
            .process_group(0)
            .stdout(Stdio::null());
        let child = command.spawn().unwrap();
        // No moment is the right one, so all of them are tried.
        std::thread::sleep(Duration::from_micros(round / 2 * 500));
        // What it has started gets the signal as well, as from a terminal, or not.
        let whole_group = round % 2 == 0;
        let pid = Pid::from_child(&child);
        if whole_group {
            rustix::process::kill_process_group(pid, Signal::TERM).unwrap();
        } else {
            rustix::process::kill_process(pid, Signal::TERM).unwrap();
        }
        ends_as_told(child);
        assert!(!is_mounted(&place.mountpoint), "round {round}");
        let said = all_heard(&supervisor);
        assert!(
            SENSIBLE.iter().any(|sensible| said == *sensible),
            "{said:?}"
        );
    }
}

#[test]
fn a_signal_while_the_source_is_not_there_yet_ends_it_once_it_can() {
    // The source is a mount as well, whose daemon answers nothing for a while.
    let (below, place) = (Place::new(), Place::new());
    below.write("f", b"plain");
    let source = Mount::with(&below.source, &place.source, &["--ttl", "0"], LIMIT);
    let _watched = Watched::new(&place.mountpoint);
    let supervisor = Supervisor::new(&place);
    for round in 0..5 {
        signal(source.pid(), "STOP");
        let child = supervisor.command(&place, &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(10 * round));
        signal(child.id(), "TERM");
        signal(source.pid(), "CONT");
        ends_as_told(child);
        assert!(!is_mounted(&place.mountpoint));
        let said = all_heard(&supervisor);
        assert!(
            SENSIBLE.iter().any(|sensible| said == *sensible),
            "{said:?}"
        );
    }
    source.stop();
}

/// `demo` on a small model, in a directory of the test's own.
fn demo(place: &Place, mib: usize) -> Command {
    let model = place.write("model.safetensors", &model(24, mib));
    let mut command = weightfs();
    command
        .args(["demo", "--json", "--model"])
        .arg(model)
        .env("TMPDIR", place.root.path().canonicalize().unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_demo_in_a_unit_does_not_speak_for_it() {
    let place = Place::new();
    let supervisor = Supervisor::new(&place);
    let status = demo(&place, 2)
        .env("NOTIFY_SOCKET", &supervisor.name)
        .env("WATCHDOG_USEC", "2000000")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(all_heard(&supervisor), [""; 0]);
}

/// Where something is mounted below a directory.
fn mounted_below(directory: &Path) -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .find(|mountpoint| mountpoint.starts_with(directory))
}

/// Processes that were started, by themselves or by others that were, with this directory as TMPDIR.
fn processes_in(directory: &Path) -> Vec<u32> {
    let variable = format!("TMPDIR={}", directory.display());
    let given = |environment: Vec<u8>| {
        environment
            .split(|&byte| byte == 0)
            .any(|given| given == variable.as_bytes())
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // One that ends meanwhile has none any more.
            let environment = fs::read(entry.path().join("environ")).ok()?;
            given(environment).then_some(pid)
        })
        .collect()
}

/// Starts `demo` and returns once its mount is there, which may not answer yet.
fn demo_with_mount(place: &Place) -> (Child, PathBuf) {
    let root = place.root.path().canonicalize().unwrap();
    let start = Instant::now();
    let mut demo = demo(place, 16).spawn().unwrap();
    loop {
        if let Some(mountpoint) = mounted_below(&root) {
            return (demo, mountpoint);
        }
        assert_eq!(demo.try_wait().unwrap(), None, "it ended unseen");
        assert!(start.elapsed() < LIMIT, "it does not mount");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns once neither mount nor process is left of a `demo`.
fn nothing_is_left(place: &Place, mountpoint: &Path) {
    let root = place.root.path().canonicalize().unwrap();
    let start = Instant::now();
    while is_mounted(mountpoint) || !processes_in(&root).is_empty() {
        let left = processes_in(&root);
        assert!(start.elapsed() < LIMIT, "the mount or {left:?} is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_demo_that_is_killed_leaves_neither_mount_nor_process() {
    let place = Place::new();
    for round in 0..4 {
        let (mut demo, mountpoint) = demo_with_mount(&place);
        let _watched = Watched::new(&mountpoint);
        // At once, before the mount answers, and while it is read.
        std::thread::sleep(Duration::from_millis(round * 10));
        demo.kill().unwrap();
        demo.wait().unwrap();
        nothing_is_left(&place, &mountpoint);
    }
}

#[test]
fn a_demo_whose_mount_is_killed_before_it_answers_clears_it_away() {
    let place = Place::new();
    for _ in 0..4 {
        let (mut demo, mountpoint) = demo_with_mount(&place);
        let _watched = Watched::new(&mountpoint);
        signal(daemon_of(&mountpoint).unwrap(), "KILL");
        assert_eq!(demo.wait().unwrap().code(), Some(2));
        nothing_is_left(&place, &mountpoint);
        assert!(!mountpoint.exists(), "its directory is left");
    }
}

/// The helper by a name that mount(8) would call it by.
fn helper(place: &Place) -> Command {
    let link = place.root.path().join("mount.weightfs");
    if !link.exists() {
        symlink(weightfs().get_program(), &link).unwrap();
    }
    Command::new(link)
}

/// Exit status and stderr of the helper; there is nothing on stdout.
fn run(command: &mut Command) -> (Option<i32>, String) {
    // Returns when nobody holds the other end any more, so that the daemon has let go of it.
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

/// The process that serves a mount which the helper made.
fn daemon_of(mountpoint: &Path) -> Option<u32> {
    let mountpoint = mountpoint.to_str().unwrap();
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let mut arguments = line.split('\0');
        let is_mount = [arguments.next(), arguments.next()] == [Some("weightfs"), Some("mount")];
        (is_mount && arguments.any(|given| given == mountpoint)).then_some(pid)
    })
}

fn unmount(mountpoint: &Path) {
    umount(mountpoint);
    let start = Instant::now();
    while daemon_of(mountpoint).is_some() {
        assert!(start.elapsed() < LIMIT, "the daemon stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_helper_returns_when_the_mount_answers_and_leaves_the_daemon_behind() {
    let place = Place::new();
    let original = model(21, 1);
    place.pack("with space/m", &original);
    place.write("with space/broken.wfz", b"no archive");
    let (source, log) = (
        place.source.join("with space"),
        place.root.path().join("log"),
    );
    let mountpoint = place.root.path().join("mount point");
    fs::create_dir(&mountpoint).unwrap();
    let _watched = Watched::new(&mountpoint);
    let options = format!(
        "rw,noexec,nosuid,nodev,relatime,nofail,_netdev,x-systemd.automount,comment=a,\
         cache_size=8M,threads=2,readahead=1M,ttl=0,logfile={}",
        log.display()
    );
    let (status, stderr) = run(helper(&place)
        .args([&source, &mountpoint])
        .args(["-n", "-o", &options]));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(fs::read(mountpoint.join("m")).unwrap() == original);

    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let escaped = |path: &Path| path.to_str().unwrap().replace(' ', "\\040");
    let fields = table
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields[4] == escaped(&mountpoint))
        .unwrap();
    for option in ["ro", "noexec", "nosuid", "nodev"] {
        assert!(fields[5].split(',').any(|set| set == option), "{option}");
    }
    assert!(fields.contains(&escaped(&source).as_str()), "{fields:?}");

    let pid = daemon_of(&mountpoint).unwrap();
    let proc = Path::new("/proc").join(pid.to_string());
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    assert_eq!(fs::read_link(proc.join("fd/2")).unwrap(), log);
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    assert!(stat.contains("(weightfs)"), "{stat}");
    let session = stat.rsplit(')').next().unwrap().split(' ').nth(4).unwrap();
    assert_eq!(session, pid.to_string());
    assert!(fs::read(mountpoint.join("broken")).is_err());
    unmount(&mountpoint);
    assert!(fs::read_to_string(&log).unwrap().contains("broken"));
}

#[test]
fn the_helper_recovers_a_dead_mount_and_does_not_mount_twice() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let _watched = Watched::new(&place.mountpoint);
    let mount = || {
        let paths = [&place.source, &place.mountpoint];
        run(helper(&place).args(paths).args(["-o", "ttl=3600"]))
    };
    assert_eq!(mount(), (Some(0), String::new()));
    let (status, stderr) = mount();
    assert_eq!(status, Some(32));
    assert!(stderr.contains("already"), "{stderr}");
    // The kernel remembers this for an hour, whether the daemon lives or not.
    assert!(fs::metadata(&place.mountpoint).is_ok());
    signal(daemon_of(&place.mountpoint).unwrap(), "KILL");
    while fs::read_dir(&place.mountpoint).is_ok() {
        std::thread::yield_now();
    }
    let (status, stderr) = mount();
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(fs::read(place.mountpoint.join("m")).unwrap(), b"decoded");
    unmount(&place.mountpoint);
}

#[test]
fn the_helper_says_what_is_wrong_with_the_status_that_mount_expects() {
    let place = Place::new();
    let _watched = Watched::new(&place.mountpoint);
    let (source, mountpoint) = (
        place.source.to_str().unwrap(),
        place.mountpoint.to_str().unwrap(),
    );
    let nowhere = format!("{source}/nowhere");
    for (arguments, status, named) in [
        (
            &[source, mountpoint, "-o", "ro,cachesize=1G"][..],
            1,
            "'cachesize=1G'",
        ),
        (&[source, mountpoint, "-o", "cache_size=lots"], 1, "'lots'"),
        (
            &[source, mountpoint, "-o", "remount,ro"],
            32,
            "is not a weightfs mount",
        ),
        (&[source], 1, "mount.weightfs --help tells"),
        (&[&nowhere, mountpoint, "-o", "ro"], 32, &nowhere),
        (&[&nowhere, mountpoint, "-f"], 32, &nowhere),
        (&[source, &nowhere], 32, &nowhere),
        (
            &[source, mountpoint, "-o", "logfile=/nowhere/log"],
            32,
            "/nowhere/log",
        ),
    ] {
        let (found, stderr) = run(helper(&place).args(arguments));
        assert_eq!(found, Some(status), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
        assert!(!is_mounted(&place.mountpoint));
    }
    // Nothing is wrong, but nothing is to be done either.
    let (status, _) = run(helper(&place).args([source, mountpoint, "-f"]));
    assert_eq!(status, Some(0));
    assert!(!is_mounted(&place.mountpoint));
    let (status, _) = run(helper(&place).args([source, mountpoint, "-s", "-o", "whatever"]));
    assert_eq!(status, Some(0));
    unmount(&place.mountpoint);
}

#[test]
fn a_mount_whose_asker_is_gone_is_undone() {
    let place = Place::new();
    let _watched = Watched::new(&place.mountpoint);
    let (asker, stdout) = std::io::pipe().unwrap();
    drop(asker);
    weightfs()
        .args(["mount", "--background"])
        .args([&place.source, &place.mountpoint])
        .stdout(stdout)
        .status()
        .unwrap();
    assert!(!is_mounted(&place.mountpoint));
}

/// In mount and process namespaces of its own, where /sbin can be changed for nobody else, and
/// everything ends with the script, mounts and daemons as well.
const WITH_MOUNT: &str = r#"
set -e
mount -t tmpfs none "$(readlink -f /sbin)"
ln -s "$1" /sbin/mount.weightfs
mount -t weightfs -o cache_size=8M,noexec "$2/source dir" "$2/mnt"
cmp "$2/original" "$2/mnt/m"
umount "$2/mnt"
# As a line of fstab; what is mounted already is left as it is.
printf '%s/source\\040dir %s/mnt weightfs nofail,x-systemd.automount 0 0\n' "$2" "$2" >"$2/fstab"
for time in first second; do
    mount --all --fstab "$2/fstab"
    cmp "$2/original" "$2/mnt/m"
done
test "$(grep -c " $2/mnt " /proc/self/mountinfo)" = 1
umount "$2/mnt"
status=0
mount -t weightfs -o nonsense "$2/source dir" "$2/mnt" || status=$?
test $status = 1
status=0
mount -t weightfs "$2/nowhere" "$2/mnt" || status=$?
test $status = 32
! grep " $2/mnt " /proc/self/mountinfo
"#;

#[test]
fn mount_and_fstab_find_the_helper() {
    let place = Place::new();
    let original = model(22, 1);
    place.pack("../source dir/m", &original);
    place.write("../original", &original);
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "120", "unshare", "--mount", "--pid", "--fork"]);
    // Other tests' mounts are seen there, and must go when they go.
    command.args(["--mount-proc", "--kill-child", "--propagation", "slave"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", WITH_MOUNT, "sh"]);
    command.arg(weightfs().get_program());
    let output = command
        .arg(place.root.path().canonicalize().unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
