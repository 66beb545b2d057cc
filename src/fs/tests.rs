//! The tree without a kernel: what is shown, where links lead, generations, reads.

use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Attr, DirEntry, Inode, Kind, Listed, ModelTree, ROOT_INODE, Source};
use crate::error::Result;
use crate::job::{Monitor, PackOptions, pack_file};

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("src")).unwrap();
        Self { root }
    }

    /// A path; those of the source start with `src/`.
    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(relative)
    }

    fn write(&self, relative: &str, bytes: &[u8]) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn pack(&self, relative: &str, bytes: &[u8]) {
        let original = self.path("original");
        fs::write(&original, bytes).unwrap();
        let archive = self.path(relative);
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        let options = PackOptions {
            force: true,
            block_bytes: Some(4096),
            ..PackOptions::default()
        };
        let never = AtomicBool::new(false);
        let monitor = Monitor::silent(&never);
        pack_file(&original, &archive, &options, &monitor).unwrap();
    }

    fn link(&self, relative: &str, target: impl AsRef<Path>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn set_list(&self, relative: &str, list: &[u8]) {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(self.path(relative), crate::os::ACCESS_LIST, list, flags).unwrap();
    }

    fn tree_of(&self, source: &str) -> Tree {
        let source = Source::open(&self.path(source)).unwrap();
        Tree(ModelTree::new(source, 16 * 4096, NonZeroUsize::MIN).unwrap())
    }

    /// That of a mount at `mnt`, for all users or not.
    fn tree_for_all(&self, for_all: bool) -> Tree {
        let mut source = Source::open(&self.path("src")).unwrap();
        source.set_mountpoint(&self.path("mnt"), for_all).unwrap();
        Tree(ModelTree::new(source, 16 * 4096, NonZeroUsize::MIN).unwrap())
    }

    fn tree(&self) -> Tree {
        self.tree_of("src")
    }
}

struct Tree(ModelTree);

impl Tree {
    fn find(&self, path: &str) -> Result<Attr> {
        let mut attr = self.0.attr(ROOT_INODE)?;
        for name in Path::new(path) {
            attr = self.0.lookup(attr.inode, name)?;
        }
        Ok(attr)
    }

    fn read(&self, path: &str) -> Vec<u8> {
        self.read_inode(self.find(path).unwrap().inode).unwrap()
    }

    fn read_inode(&self, inode: Inode) -> Result<Vec<u8>> {
        let opened = self.0.open(inode)?;
        let bytes = self
            .0
            .read(opened.handle, 0, 1 << 20, false, <[u8]>::to_vec);
        self.0.release(opened.handle);
        bytes
    }

    fn target(&self, path: &str) -> PathBuf {
        let attr = self.find(path).unwrap();
        assert_eq!(attr.kind, Kind::Link, "{path}");
        let target = self.0.read_link(attr.inode).unwrap();
        assert_eq!(attr.size, target.as_os_str().len() as u64);
        target
    }

    fn entries(&self, directory: Inode) -> Vec<(Listed, DirEntry)> {
        let listed = self.0.list(directory).unwrap().names.into_iter();
        let entries = listed.filter_map(|listed| {
            let entry = self.0.entry(directory, &listed.name).unwrap()?;
            Some((listed, entry))
        });
        entries.collect()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let inode = self.find(path).unwrap().inode;
        let entries = self.entries(inode);
        for (listed, entry) in &entries {
            // What is listed is what is found, and what is known then.
            if let Ok(attr) = self.0.lookup(inode, &listed.name) {
                assert_eq!((attr.inode, attr.kind), (entry.inode, entry.kind));
            }
            let known = self.0.known(inode, listed, Instant::now(), Duration::MAX);
            assert_eq!(known, listed.plain.map(|_| *entry));
        }
        let names = entries.into_iter().map(|(listed, _)| listed.name);
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

#[test]
fn archives_lose_their_suffix_and_all_else_is_as_it_is() {
    let place = Place::new();
    place.pack("src/model.safetensors.wfz", b"decoded");
    place.write("src/config.json", b"{}");
    place.pack("src/sub/deep/x.wfz", b"deep");
    place.write("src/sub/.wfz", b"only a suffix");
    fs::create_dir(place.path("src/dir.wfz")).unwrap();
    let tree = place.tree();
    assert_eq!(
        tree.names(""),
        ["config.json", "dir.wfz", "model.safetensors", "sub"]
    );
    assert_eq!(tree.names("sub"), [".wfz", "deep"]);
    assert_eq!(tree.read("model.safetensors"), b"decoded");
    assert_eq!(tree.read("config.json"), b"{}");
    assert_eq!(tree.read("sub/deep/x"), b"deep");
    assert_eq!(tree.find("dir.wfz").unwrap().kind, Kind::Directory);
    let attr = tree.find("model.safetensors").unwrap();
    assert_eq!((attr.size, attr.kind), (7, Kind::File));
    for missing in ["model.safetensors.wfz", "nothing", "sub/deep/x.wfz"] {
        assert_eq!(
            tree.find(missing).unwrap_err().errno(),
            libc::ENOENT,
            "{missing}"
        );
    }
    let long = "n".repeat(255);
    assert_eq!(tree.find(&long).unwrap_err().errno(), libc::ENOENT);
}

#[test]
fn a_file_beside_its_archive_hides_nothing() {
    let place = Place::new();
    place.pack("src/m.wfz", b"from the archive");
    place.write("src/m", b"from the file");
    let tree = place.tree();
    assert_eq!(tree.names(""), ["m", "m.wfz"]);
    assert_eq!(tree.read("m"), b"from the file");
    assert_eq!(
        tree.read("m.wfz"),
        fs::read(place.path("src/m.wfz")).unwrap()
    );
    fs::remove_file(place.path("src/m")).unwrap();
    assert_eq!(tree.names(""), ["m"]);
    assert_eq!(tree.read("m"), b"from the archive");
}

#[test]
fn links_inside_stay_links_and_lose_the_suffix_where_it_is_not_shown() {
    let place = Place::new();
    place.pack("src/blobs/abc.wfz", b"decoded");
    place.write("src/blobs/cfg", b"{}");
    for (link, target) in [
        ("a", "../../blobs/abc.wfz"),
        ("b", "../../blobs/abc"),
        ("c.wfz", "../../blobs/abc.wfz"),
        ("d", "../../blobs/cfg"),
        ("e", "gone"),
        ("f", "c.wfz"),
    ] {
        place.link(&format!("src/snapshots/1/{link}"), target);
    }
    place.link("src/snapshots/1/abs", place.path("src/blobs/abc.wfz"));
    let tree = place.tree();
    assert_eq!(
        tree.names("snapshots/1"),
        ["a", "abs", "b", "c", "d", "e", "f"]
    );
    for link in ["a", "b", "c", "abs"] {
        let target = tree.target(&format!("snapshots/1/{link}"));
        assert_eq!(target, Path::new("../../blobs/abc"), "{link}");
    }
    assert_eq!(tree.target("snapshots/1/d"), Path::new("../../blobs/cfg"));
    assert_eq!(tree.target("snapshots/1/e"), Path::new("gone"));
    assert_eq!(tree.target("snapshots/1/f"), Path::new("c"));
    assert!(tree.find("snapshots/1/c.wfz").is_err());
}

#[test]
fn links_out_of_the_source_lead_where_they_led() {
    let place = Place::new();
    place.pack("hub/blobs/abc.wfz", b"decoded");
    place.write("hub/blobs/cfg", b"{}");
    place.link("hub/snapshots/1/model.safetensors", "../../blobs/abc");
    place.link("hub/snapshots/1/other.safetensors", "../../blobs/abc.wfz");
    place.link("hub/snapshots/1/config.json", "../../blobs/cfg");
    place.link("hub/snapshots/1/blobs", "../../blobs");
    place.link("hub/snapshots/1/root", "/");
    let tree = place.tree_of("hub/snapshots/1");
    assert_eq!(tree.read("model.safetensors"), b"decoded");
    assert_eq!(tree.read("other.safetensors"), b"decoded");
    let absolute = |target: &str| place.path("hub/snapshots/1").join(target);
    assert_eq!(tree.target("config.json"), absolute("../../blobs/cfg"));
    assert_eq!(tree.target("blobs"), absolute("../../blobs"));
    assert_eq!(tree.target("root"), Path::new("/"));
}

/// The names of a target are looked for where they lead, not where they seem to.
#[test]
fn targets_lose_the_suffix_only_of_the_archive_they_name() {
    let place = Place::new();
    place.pack("src/sub/x.wfz", b"x");
    place.pack("src/sub/both.wfz", b"not named");
    place.write("src/sub/both", b"");
    place.pack("src/twice.wfz.wfz", b"twice");
    fs::create_dir(place.path("src/sub/deep")).unwrap();
    place.write("src/x", b"beside what seems to be meant");
    place.link("src/d", "sub/deep");
    place.link("src/through", "d/../x.wfz");
    place.link("src/to-twice", "twice.wfz");
    place.link("src/s", "sub");
    place.link("src/sub/l.wfz", "x.wfz");
    place.write("src/sub/l", b"hides the link to it");
    place.link("src/l", "s/l.wfz");
    let tree = place.tree();
    assert_eq!(tree.target("through"), Path::new("d/../x"));
    assert_eq!(tree.target("to-twice"), Path::new("twice.wfz"));
    assert_eq!(tree.target("l"), Path::new("s/l.wfz"));
}

/// What is met behind a way out of the source is the source itself, and the `..` of the mount's root
/// is not that of the source's.
#[test]
fn links_that_lead_out_and_in_again_lead_where_they_led() {
    let place = Place::new();
    place.pack("src/m.wfz", b"decoded");
    place.write("beside", b"beside the source");
    place.link("alias", place.path("src"));
    place.link("src/again", place.path("alias"));
    place.link("src/l", "again/m");
    place.link("src/l2.wfz", "again/m.wfz");
    place.link("src/sub/up", "..");
    place.link("src/above", "sub/up/../beside");
    place.link("src/below", "sub/up/m");
    let tree = place.tree();
    for link in ["l", "l2"] {
        assert_eq!(tree.read(link), b"decoded", "{link}");
    }
    assert_eq!(
        tree.target("above"),
        place.path("src").join("sub/up/../beside")
    );
    assert_eq!(tree.target("below"), Path::new("sub/up/m"));
}

/// A look into the mount from one of its own threads could wait for itself.
#[test]
fn links_are_not_followed_up_into_the_mount() {
    let place = Place::new();
    place.pack("mnt/src/m.wfz", b"decoded");
    place.pack("mnt/up.wfz", b"hidden by the mount");
    place.link("mnt/src/up", "../up.wfz");
    place.link("mnt/src/parent", "..");
    let mut source = Source::open(&place.path("mnt/src")).unwrap();
    source.set_mountpoint(&place.path("mnt"), false).unwrap();
    for target in ["../up.wfz", "..", "../src/m.wfz", "/"] {
        let followed = super::links::follow(&source, Path::new(""), Path::new(target));
        assert_eq!(followed.is_some(), target == "/", "{target}");
    }
}

#[test]
fn an_open_archive_tells_the_name_that_it_has_now() {
    let place = Place::new();
    place.pack("src/m.wfz", b"decoded");
    let tree = place.tree();
    let handle = tree.0.open(tree.find("m").unwrap().inode).unwrap().handle;
    fs::rename(place.path("src/m.wfz"), place.path("src/n.wfz")).unwrap();
    let inode = tree.find("n").unwrap().inode;
    let path = tree.0.xattr(inode, "user.weightfs.archive".as_ref());
    assert_eq!(
        path.unwrap(),
        place.path("src/n.wfz").as_os_str().as_encoded_bytes()
    );
    tree.0.release(handle);
}

/// `fstat` comes without the handle.
#[test]
fn an_open_file_has_attributes_when_its_name_is_gone() {
    let place = Place::new();
    place.write("src/f", b"first");
    let tree = place.tree();
    let inode = tree.find("f").unwrap().inode;
    let handle = tree.0.open(inode).unwrap().handle;
    fs::remove_file(place.path("src/f")).unwrap();
    let attr = tree.0.attr(inode).unwrap();
    assert_eq!((attr.size, attr.nlink), (5, 0));
    place.write("src/f", b"the second");
    assert_eq!(tree.0.attr(inode).unwrap().size, 5);
    tree.0.release(handle);
    assert_eq!(tree.0.attr(inode).unwrap_err().errno(), libc::ESTALE);
}

#[test]
fn a_mount_for_all_users_follows_no_link_that_its_maker_could_not() {
    let place = Place::new();
    place.pack("private/x.wfz", b"secret");
    place.link("src/l", "../private/x.wfz");
    let shown = |for_all_users| {
        let mut source = Source::open(&place.path("src")).unwrap();
        fs::create_dir_all(place.path("mnt")).unwrap();
        source
            .set_mountpoint(&place.path("mnt"), for_all_users)
            .unwrap();
        let tree = Tree(ModelTree::new(source, 0, NonZeroUsize::MIN).unwrap());
        tree.find("l").unwrap().kind
    };
    assert_eq!((shown(false), shown(true)), (Kind::File, Kind::File));
    if rustix::process::geteuid().is_root() {
        let give = |path, owner| {
            std::os::unix::fs::lchown(place.path(path), Some(owner), None).unwrap();
        };
        give("src/l", 65534);
        assert_eq!((shown(false), shown(true)), (Kind::File, Kind::Link));
        // Neither if somebody else has made a link further on.
        fs::remove_file(place.path("src/l")).unwrap();
        place.link("theirs/x.wfz", "../private/x.wfz");
        place.link("src/l", "../theirs/x.wfz");
        assert_eq!((shown(false), shown(true)), (Kind::File, Kind::File));
        give("theirs/x.wfz", 65534);
        assert_eq!((shown(false), shown(true)), (Kind::File, Kind::Link));
    }
}

#[test]
fn an_archive_written_over_while_it_is_open_gives_errors_and_not_its_new_bytes() {
    let place = Place::new();
    let (first, second) = ([1u8; 100_000], [2u8; 100_000]);
    place.pack("b.wfz", &second);
    place.pack("src/m.wfz", &first);
    let (before, after) = (
        fs::read(place.path("src/m.wfz")).unwrap(),
        fs::read(place.path("b.wfz")).unwrap(),
    );
    let tree = place.tree();
    let handle = tree.0.open(tree.find("m").unwrap().inode).unwrap().handle;
    let write_over = |bytes: &[u8]| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(place.path("src/m.wfz"))
            .unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
    };
    let read = |offset| {
        tree.0
            .read(handle, offset, 5000, false, |bytes| bytes == &first[..5000])
    };
    assert!(read(0).unwrap());
    write_over(&after);
    assert_eq!(read(50_000).unwrap_err().errno(), libc::EIO);
    write_over(&before);
    assert!(read(50_000).unwrap());
}

#[test]
fn hard_links_to_a_link_lead_where_each_leads() {
    let place = Place::new();
    place.pack("src/f.wfz", b"root");
    place.pack("src/a/f.wfz", b"below");
    place.link("src/l", place.path("src/f.wfz"));
    fs::create_dir_all(place.path("src/a/b")).unwrap();
    fs::hard_link(place.path("src/l"), place.path("src/a/b/l")).unwrap();
    let tree = place.tree();
    let (upper, lower) = (
        tree.find("l").unwrap().inode,
        tree.find("a/b/l").unwrap().inode,
    );
    assert_eq!(tree.0.read_link(upper).unwrap(), Path::new("f"));
    assert_eq!(tree.0.read_link(lower).unwrap(), Path::new("../../f"));
}

#[test]
fn circles_and_special_files_do_no_harm() {
    let place = Place::new();
    place.link("src/a", "b");
    place.link("src/b", "a");
    place.link("src/self.wfz", "self.wfz");
    place.link("src/up", "../src/a");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("src/fifo.wfz"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let tree = place.tree();
    assert_eq!(tree.names(""), ["a", "b", "self.wfz", "up"]);
    assert_eq!(tree.target("a"), Path::new("b"));
    assert!(tree.find("fifo").is_err() && tree.find("fifo.wfz").is_err());
}

#[test]
fn links_into_the_mount_are_not_followed_by_the_mount_itself() {
    let place = Place::new();
    place.write("mnt/x.wfz", b"never looked at");
    place.link("src/in", place.path("mnt/x"));
    place.link("out", place.path("mnt/x"));
    place.link("src/around", place.path("out"));
    let mut source = Source::open(&place.path("src")).unwrap();
    source.set_mountpoint(&place.path("mnt"), false).unwrap();
    let tree = Tree(ModelTree::new(source, 0, NonZeroUsize::MIN).unwrap());
    assert_eq!(tree.target("in"), place.path("mnt/x"));
    assert_eq!(tree.target("around"), place.path("out"));
}

#[test]
fn a_mount_point_inside_the_source_is_refused_but_the_source_itself_is_not() {
    let place = Place::new();
    place.write("src/mnt/x", b"");
    let mut source = Source::open(&place.path("src")).unwrap();
    assert!(
        source
            .set_mountpoint(&place.path("src/mnt"), false)
            .is_err()
    );
    assert!(source.set_mountpoint(&place.path("src"), false).is_ok());
}

#[test]
fn one_archive_is_a_source() {
    let place = Place::new();
    place.pack("src/m.wfz", b"decoded");
    place.write("src/other", b"");
    let tree = place.tree_of("src/m.wfz");
    assert_eq!(tree.names(""), ["m"]);
    assert_eq!(tree.read("m"), b"decoded");
    assert!(tree.find("other").is_err());
    assert!(Source::open(&place.path("src/other")).is_err());
}

#[test]
fn a_replaced_archive_is_another_inode_and_open_files_keep_the_old_one() {
    let place = Place::new();
    place.pack("src/m.wfz", b"first");
    let tree = place.tree();
    let first = tree.find("m").unwrap();
    let opened = tree.0.open(first.inode).unwrap();
    assert!(opened.keep_cache);
    place.pack("src/m.wfz", b"the second");
    let second = tree.find("m").unwrap();
    assert_ne!(first.inode, second.inode);
    assert_eq!(tree.read("m"), b"the second");
    let old = tree
        .0
        .read(opened.handle, 0, 100, false, <[u8]>::to_vec)
        .unwrap();
    assert_eq!(old, b"first");
    assert_eq!(
        tree.0.open_attr(first.inode, opened.handle).unwrap().size,
        5
    );
    tree.0.release(opened.handle);
    assert_eq!(tree.0.open(first.inode).unwrap_err().errno(), libc::ESTALE);
}

/// Once, the kernel looks again; what it finds then is there for it, whatever becomes of the name.
#[test]
fn what_was_found_while_names_change_can_be_asked_for() {
    let place = Place::new();
    for name in ["m", "f"] {
        let put = |bytes| {
            if name == "m" {
                return place.pack("src/m.wfz", bytes);
            }
            place.write("temporary", bytes);
            fs::rename(place.path("temporary"), place.path("src/f")).unwrap();
        };
        put(b"first".as_slice());
        let tree = place.tree();
        let first = tree.find(name).unwrap().inode;
        put(b"the second");
        let error = tree.read_inode(first).unwrap_err();
        assert_eq!(error.errno(), libc::ESTALE, "{name}: {error}");
        let second = tree.find(name).unwrap();
        put(b"third");
        assert_eq!(tree.0.attr(second.inode).unwrap().size, 10, "{name}");
        assert_eq!(tree.0.xattr_names(second.inode).unwrap().len(), 0);
        assert_eq!(tree.read_inode(second.inode).unwrap(), b"the second");
        assert_eq!(tree.read(name), b"third");
    }
}

/// However long the thread is held up that looks at the source.
#[test]
fn what_was_found_is_let_go_of_by_whoever_comes_next() {
    let place = Place::new();
    place.write("src/other", b"x");
    place.write("src/f", b"x");
    let tree = place.tree();
    for come in [
        &(|| drop(tree.find("other"))) as &dyn Fn(),
        &|| drop(tree.0.open(4711)),
        &|| assert_eq!(tree.0.stats().open_files, 0),
    ] {
        tree.0.lately.name_changed();
        let inode = tree.find("f").unwrap().inode;
        assert!(tree.0.lately.get(inode).is_some());
        assert!(tree.0.lately.make_old());
        assert!(tree.0.lately.get(inode).is_none());
        tree.0.lately.end_restlessness();
        come();
        assert_eq!(tree.0.lately.count(), 0);
    }
}

/// A file and its archive take each other's place: one is gone, and the name is not.
#[test]
fn whatever_is_asked_of_the_other_form_of_a_name_has_the_kernel_look_again() {
    let place = Place::new();
    for (packed, gone) in [(true, "src/m"), (false, "src/m.wfz")] {
        place.write("src/m", b"bytes");
        place.pack("src/m.wfz", b"bytes");
        fs::remove_file(place.path(if packed { "src/m.wfz" } else { "src/m" })).unwrap();
        let tree = place.tree();
        let inode = tree.find("m").unwrap().inode;
        if packed {
            place.pack("src/m.wfz", b"bytes");
        } else {
            place.write("src/m", b"bytes");
        }
        fs::remove_file(place.path(gone)).unwrap();
        let stale = |error: crate::error::Error| {
            assert_eq!(error.errno(), libc::ESTALE, "{gone} is gone: {error}");
        };
        stale(tree.0.open(inode).unwrap_err());
        stale(tree.0.xattr_names(inode).unwrap_err());
        stale(tree.0.xattr(inode, "user.x".as_ref()).unwrap_err());
        // A generation is what it is, also when it is gone.
        match tree.0.attr(inode) {
            Ok(attr) => assert!(!packed && attr.size == 5),
            Err(error) => stale(error),
        }
        assert_eq!(tree.read("m"), b"bytes");
    }
}

#[test]
fn a_link_out_to_a_file_is_looked_at_again_once_that_is_an_archive() {
    let place = Place::new();
    place.write("out/x", b"bytes");
    place.link("src/l", "../out/x");
    let tree = place.tree();
    let link = tree.find("l").unwrap();
    assert_eq!(
        tree.0.read_link(link.inode).unwrap(),
        place.path("src/../out/x")
    );
    place.pack("out/x.wfz", b"bytes");
    fs::remove_file(place.path("out/x")).unwrap();
    let error = tree.0.read_link(link.inode).unwrap_err();
    assert_eq!(error.errno(), libc::ESTALE, "{error}");
    assert_eq!(tree.read("l"), b"bytes");
}

#[test]
fn a_file_that_grows_all_the_time_can_be_opened() {
    let place = Place::new();
    place.write("src/log", b"1");
    place.write("src/other", b"x");
    let tree = place.tree();
    let inode = tree.find("log").unwrap().inode;
    place.write("src/log", b"12");
    assert_eq!(tree.0.open(inode).unwrap_err().errno(), libc::ESTALE);
    assert_eq!(tree.find("log").unwrap().size, 2);
    place.write("src/log", b"123");
    assert_eq!(tree.read_inode(inode).unwrap(), b"123");
    // It concerns no other file.
    assert!(!tree.0.lately.is_restless());
    assert!(tree.find("other").unwrap().size == 1 && tree.0.lately.count() == 1);
}

/// What is written to and what is in a directory change all the time: neither is another one then.
#[test]
fn an_error_of_what_was_written_to_is_what_it_is() {
    let place = Place::new();
    place.write("src/d/f", b"1");
    let tree = place.tree();
    for path in ["d", "d/f"] {
        let inode = tree.find(path).unwrap().inode;
        let node = tree.0.node(inode).unwrap();
        place.write("src/d/f", b"12");
        place.write("src/d/another", b"");
        let error = super::errno::errno("refused", libc::EACCES);
        let error = tree.0.stale_if_replaced(inode, &node, error);
        assert_eq!(error.errno(), libc::EACCES, "{path}: {error}");
        assert!(!tree.0.lately.is_restless());
    }
}

#[test]
fn inode_numbers_are_the_same_in_another_mount() {
    let place = Place::new();
    place.pack("src/m.wfz", b"x");
    place.write("src/f", b"x");
    let inodes = || ["m", "f"].map(|name| place.tree().find(name).unwrap().inode);
    assert_eq!(inodes(), inodes());
}

#[test]
fn a_plain_file_that_was_written_to_drops_what_the_kernel_has_cached() {
    let place = Place::new();
    place.write("src/f", b"one");
    let tree = place.tree();
    let inode = tree.find("f").unwrap().inode;
    let keep = || {
        let opened = tree.0.open(inode).unwrap();
        tree.0.release(opened.handle);
        opened.keep_cache
    };
    assert!(!keep());
    assert!(keep());
    place.write("src/f", b"other");
    // The kernel believes in the former length, and looks again.
    assert_eq!(tree.0.open(inode).unwrap_err().errno(), libc::ESTALE);
    assert_eq!(tree.find("f").unwrap().size, 5);
    assert!(!keep());
    assert_eq!(tree.0.attr(inode).unwrap().size, 5);
}

#[test]
fn a_damaged_archive_is_listed_and_says_so_when_looked_at() {
    let place = Place::new();
    place.write("src/bad.wfz", &[7; 3000]);
    place.write("src/empty.wfz", b"");
    let tree = place.tree();
    assert_eq!(tree.names(""), ["bad", "empty"]);
    for name in ["bad", "empty"] {
        let error = tree.find(name).unwrap_err();
        assert_eq!(error.errno(), libc::EIO, "{error}");
        assert!(
            error.to_string().contains(&format!("{name}.wfz")),
            "{error}"
        );
    }
}

#[test]
fn what_is_forgotten_and_closed_takes_no_memory() {
    let place = Place::new();
    place.pack("src/m.wfz", b"x");
    place.write("src/f", b"x");
    let tree = place.tree();
    for _ in 0..50 {
        for name in ["m", "f"] {
            let attr = tree.find(name).unwrap();
            tree.0.release(tree.0.open(attr.inode).unwrap().handle);
        }
    }
    assert_eq!((tree.0.open_count(), tree.0.known_inodes()), (0, 3));
    for name in ["m", "f"] {
        let inode = tree.find(name).unwrap().inode;
        tree.0.forget(inode, 51);
        assert!(tree.0.attr(inode).is_err());
    }
    assert_eq!((tree.0.known_inodes(), tree.0.known_archives()), (1, 0));
}

#[test]
fn what_is_read_in_order_is_decoded_ahead_and_each_block_once() {
    let place = Place::new();
    let scrambled = |i: u32| {
        let [_, byte, ..] = i.wrapping_mul(i).to_le_bytes();
        byte
    };
    let original: Vec<u8> = (0..2 << 20).map(scrambled).collect();
    place.pack("src/m.wfz", &original);
    let tree = || {
        let source = Source::open(&place.path("src")).unwrap();
        Tree(ModelTree::new(source, 64 << 20, NonZeroUsize::MIN).unwrap())
    };
    let (in_order, here_and_there) = (tree(), tree());
    let open = |tree: &Tree| {
        let inode = tree.find("m").unwrap().inode;
        tree.0.open(inode).unwrap().handle
    };
    let handle = open(&in_order);
    for (at, expected) in (0..).step_by(1024).zip(original.chunks(1024)) {
        let read = |bytes: &[u8]| assert!(bytes == expected, "{at}");
        in_order.0.read(handle, at, 1024, false, read).unwrap();
    }
    in_order.0.release(handle);
    // However fast the reader is: what is being decoded ahead is waited for.
    let stats = in_order.0.stats();
    assert_eq!(
        (stats.cache.decodes, stats.reads.failed),
        (512, 0),
        "{stats:?}"
    );

    // Nobody knows what is next.
    let handle = open(&here_and_there);
    for at in [0, 1 << 20, 5000, 9000, 2 << 19] {
        here_and_there
            .0
            .read(handle, at, 1024, false, |_| ())
            .unwrap();
    }
    here_and_there.0.release(handle);
    assert_eq!(here_and_there.0.stats().cache.decodes, 4);
}

#[test]
fn random_reads_equal_the_slice() {
    let place = Place::new();
    let original: Vec<u8> = (0..60_000u32)
        .flat_map(|i| i.wrapping_mul(0x9E37_79B1).to_be_bytes())
        .collect();
    place.pack("src/m.wfz", &original);
    place.write("src/f", &original);
    let tree = place.tree();
    for name in ["m", "f"] {
        let inode = tree.find(name).unwrap().inode;
        let handle = tree.0.open(inode).unwrap().handle;
        let strategy = (0..original.len() + 5000, 0..40_000usize);
        TestRunner::new(Config::with_cases(500))
            .run(&strategy, |(offset, len)| {
                let expected = original.get(offset..).unwrap_or(&[]);
                let expected = &expected[..len.min(expected.len())];
                let read = tree
                    .0
                    .read(handle, offset as u64, len, false, |bytes| bytes == expected);
                prop_assert!(read.unwrap());
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn a_read_of_a_damaged_block_is_an_error_and_the_others_go_on() {
    let place = Place::new();
    let original: Vec<u8> = (0..10_000u32)
        .flat_map(|i| i.wrapping_mul(0x9E37_79B1).to_be_bytes())
        .collect();
    place.pack("src/m.wfz", &original);
    let reader = crate::archive::ArchiveReader::open(&place.path("src/m.wfz")).unwrap();
    let at = reader.entry(3).unwrap().offset + 100;
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.path("src/m.wfz"))
        .unwrap();
    file.write_all_at(&[!original[3 * 4096 + 84]], at).unwrap();
    let tree = place.tree();
    let handle = tree.0.open(tree.find("m").unwrap().inode).unwrap().handle;
    let read = |offset: usize, len: usize| {
        tree.0.read(handle, offset as u64, len, false, |bytes| {
            bytes == &original[offset..offset + len]
        })
    };
    assert!(read(0, 3 * 4096).unwrap());
    assert!(read(4 * 4096, 20_000).unwrap());
    for (offset, len) in [(3 * 4096, 1), (3 * 4096 - 1, 2), (0, 40_000)] {
        let error = read(offset, len).unwrap_err();
        assert_eq!(error.errno(), libc::EIO);
        assert!(
            error
                .to_string()
                .contains("m.wfz: block 3 (bytes 12288..16384)"),
            "{error}"
        );
    }
}

#[test]
fn names_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let name = OsStr::from_bytes(b"\xff\n name");
    fs::write(place.path("src").join(name), b"x").unwrap();
    let tree = place.tree();
    let entries = tree.entries(ROOT_INODE);
    assert_eq!(entries[0].0.name, name);
    assert_eq!(tree.0.lookup(ROOT_INODE, name).unwrap().size, 1);
}

#[test]
fn what_was_forgotten_is_found_again_by_its_number_as_long_as_it_exists() {
    let place = Place::new();
    place.pack("src/d/e/m.wfz", b"model");
    place.write("src/d/f", b"plain");
    place.link("src/d/to-m", "e/m.wfz");
    place.pack("out/o.wfz", b"outside");
    place.link("src/o.wfz", place.path("out/o.wfz"));
    let paths = ["d", "d/e", "d/e/m", "d/f", "d/to-m", "o"];
    let tree = place.tree();
    let inodes = paths.map(|path| tree.find(path).unwrap().inode);
    let again = |tree: &Tree, inode| tree.0.lookup(inode, OsStr::new("."));
    for (path, inode) in paths.iter().zip(inodes) {
        assert_eq!(again(&tree, inode).unwrap().inode, inode, "{path} is known");
        tree.0.forget(inode, 100);
    }
    assert_eq!(tree.0.known_inodes(), 1);
    // In this mount, and in one that never told anybody of it.
    for tree in [tree, place.tree()] {
        for (path, inode) in paths.iter().zip(inodes) {
            let attr = again(&tree, inode).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(attr.inode, inode, "{path}");
        }
        assert_eq!(tree.read_inode(inodes[2]).unwrap(), b"model");
        let up = |inode| tree.0.lookup(inode, OsStr::new("..")).unwrap().inode;
        assert_eq!(up(inodes[1]), inodes[0]);
        assert_eq!(up(inodes[0]), ROOT_INODE);
        assert_eq!(up(ROOT_INODE), ROOT_INODE);
        assert_eq!(again(&tree, ROOT_INODE).unwrap().inode, ROOT_INODE);
    }
}

#[test]
fn what_is_looked_for_by_its_number_may_have_moved_or_be_gone() {
    let place = Place::new();
    place.pack("src/m.wfz", b"model");
    place.write("src/f", b"plain");
    let tree = place.tree();
    let inodes = ["m", "f"].map(|path| tree.find(path).unwrap().inode);
    for inode in inodes {
        tree.0.forget(inode, 1);
    }
    place.write("src/d/other", b"x");
    fs::rename(place.path("src/m.wfz"), place.path("src/d/n.wfz")).unwrap();
    fs::remove_file(place.path("src/f")).unwrap();
    let again = |inode| tree.0.lookup(inode, OsStr::new("."));
    assert_eq!(again(inodes[0]).unwrap().inode, inodes[0]);
    for gone in [inodes[1], 4711] {
        for _ in 0..3 {
            assert_eq!(again(gone).unwrap_err().errno(), libc::ESTALE);
        }
    }
    assert_eq!(tree.read_inode(inodes[0]).unwrap(), b"model");
}

/// Those who read need threads too: a search is not waited for by all of them.
#[test]
fn whoever_comes_while_enough_threads_search_is_not_kept_waiting() {
    let place = Place::new();
    place.write("src/f", b"plain");
    let inode = place.tree().find("f").unwrap().inode;
    let tree = place.tree();
    let again = || tree.0.lookup(inode, OsStr::new(".")).map(|attr| attr.inode);
    let searcher = tree.0.searchers.join().unwrap();
    // Would be waited for without end.
    let search = crate::sync::lock(&tree.0.searched_in_vain);
    assert_eq!(again().unwrap_err().errno(), libc::ESTALE);
    drop((search, searcher));
    assert_eq!(again().unwrap(), inode);
}

#[test]
fn copies_of_one_archive_have_numbers_of_their_own() {
    let place = Place::new();
    place.pack("src/a.wfz", b"model");
    fs::copy(place.path("src/a.wfz"), place.path("src/b.wfz")).unwrap();
    let mut narrow = place.tree();
    narrow.0.number_in_32_bits();
    for tree in [place.tree(), narrow] {
        let [a, b] = ["a", "b"].map(|name| tree.find(name).unwrap().inode);
        assert_ne!(a, b);
        assert_eq!(tree.names(""), ["a", "b"]);
    }
}

/// The owner reads and writes, user 4711 may do this, the owning group nothing, everybody else that.
fn access_list(user: u16, other: u16) -> Vec<u8> {
    let entry = |tag: u16, bits: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &bits.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let none = u32::MAX;
    [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 6, none),
        entry(2, user, 4711),
        entry(4, 0, none),
        entry(0x10, 4, none),
        entry(0x20, other, none),
    ]
    .concat()
}

/// Whoever may rename in the source could let others into a file by the list of one of their own.
#[test]
fn an_access_list_is_never_that_of_another_file_in_the_same_place() {
    let place = Place::new();
    let (list_name, theirs) = (OsStr::new(crate::os::ACCESS_LIST), access_list(4, 0));
    for (name, path) in [("f", "src/f"), ("m", "src/m.wfz")] {
        if name == "m" {
            place.pack(path, b"secret");
            place.pack("mine", b"mine");
        } else {
            place.write(path, b"secret");
            place.write("mine", b"mine");
        }
        place.set_list("mine", &theirs);
        let tree = place.tree();
        let inode = tree.find(name).unwrap().inode;
        let list = || tree.0.xattr(inode, list_name).map_err(|e| e.errno());
        assert_eq!(list(), Err(libc::ENODATA));
        // Each in the other's place, and back.
        let swap = || {
            let (mine, there) = (place.path("mine"), place.path(path));
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, mine, rustix::fs::CWD, there, flags)
                .unwrap();
        };
        swap();
        assert_eq!(list(), Err(libc::ESTALE), "{name}");
        swap();
        assert_eq!(list(), Err(libc::ENODATA), "{name}");
    }
}

/// Nor are the facts of one file and the list of another ever put together.
#[test]
fn permissions_are_those_of_the_file_that_the_facts_are_of() {
    let place = Place::new();
    fs::create_dir(place.path("mnt")).unwrap();
    place.write("src/f", b"found");
    place.write("src/g", b"there now");
    let tree = place.tree_for_all(true);
    tree.0.show_no_access_lists();
    let attr = tree.find("f").unwrap();
    let facts = tree.0.source().facts(Path::new("f")).unwrap();
    let permitted = |path: &str| {
        let at = super::place::Place::Inside(path.into());
        let permitted = tree.0.permitted(attr, &at, false, &facts);
        permitted.map(|_| ()).map_err(|e| e.errno())
    };
    assert_eq!(permitted("f"), Ok(()));
    for other in ["g", "gone", "f/gone"] {
        assert_eq!(permitted(other), Err(libc::ESTALE), "{other}");
    }
}

/// The kernel asks for the list of who is not the owner while it opens, and hands the error on.
#[test]
fn the_access_list_of_what_is_gone_is_stale_or_that_of_the_open_file() {
    let place = Place::new();
    let (name, list) = (OsStr::new(crate::os::ACCESS_LIST), access_list(4, 0));
    for (shown, path) in [("f", "src/f"), ("m", "src/m.wfz"), ("d", "src/d")] {
        match shown {
            "f" => place.write(path, b"x"),
            "m" => place.pack(path, b"x"),
            _ => fs::create_dir(place.path(path)).unwrap(),
        }
        place.set_list(path, &list);
        let tree = place.tree();
        let inode = tree.find(shown).unwrap().inode;
        let told = || tree.0.xattr(inode, name).map_err(|e| e.errno());
        assert_eq!(told().as_ref(), Ok(&list));
        let opened = tree.0.open(inode);
        fs::rename(place.path(path), place.path(&format!("moved {shown}"))).unwrap();
        if let Ok(opened) = opened {
            assert_eq!(told().as_ref(), Ok(&list), "{shown} is open");
            assert!(tree.0.xattr_names(inode).unwrap().contains(&name.into()));
            tree.0.release(opened.handle);
        }
        assert_eq!(told(), Err(libc::ESTALE), "{shown} is gone");
    }
}

/// What a kernel decides by that does not ask for access lists.
#[test]
fn without_access_lists_the_mode_says_no_more_than_the_list() {
    let place = Place::new();
    place.write("src/f", b"plain");
    place.pack("src/m.wfz", b"model");
    // Everybody may read but user 4711 and the owning group.
    let list = access_list(0, 4);
    for name in ["src/f", "src/m.wfz"] {
        place.set_list(name, &list);
    }
    fs::create_dir(place.path("mnt")).unwrap();
    let tree = place.tree_for_all(true);
    for path in ["f", "m"] {
        let attr = tree.find(path).unwrap();
        assert_eq!(attr.mode, 0o644);
        let shown = tree.0.xattr(attr.inode, OsStr::new(crate::os::ACCESS_LIST));
        assert_eq!(shown.unwrap(), list);
    }
    tree.0.show_no_access_lists();
    for path in ["f", "m"] {
        let attr = tree.find(path).unwrap();
        assert_eq!(attr.mode, 0o600);
        assert_eq!(tree.0.attr(attr.inode).unwrap().mode, 0o600);
    }
    // Who has the mount for himself loses nothing.
    let tree = place.tree_for_all(false);
    tree.0.show_no_access_lists();
    assert_eq!(tree.find("m").unwrap().mode, 0o644);
}

/// The root of a source below a directory that only its owner may enter.
#[test]
fn directories_above_count_for_others_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    fs::create_dir(place.path("mnt")).unwrap();
    let set = |path: &str, mode| {
        fs::set_permissions(place.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    set("", 0o700);
    set("src", 0o755);
    for (for_all, mode) in [(false, 0o755), (true, 0o700)] {
        let tree = place.tree_for_all(for_all);
        assert_eq!(tree.0.attr(ROOT_INODE).unwrap().mode, mode);
    }
}
