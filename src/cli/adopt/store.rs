//! What kind of store a directory is, told by what is in it. It only explains: whatever it is, files are packed by what
//! they hold, and all else stays as it is.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::os::leads_out;
use crate::printable::printable_name;

/// What newer releases of huggingface_hub mark a store of blobs with that all repositories of a cache share.
const SHARED_BLOBS_MARKER: &str = ".huggingface-shared-blobs";
/// What a repository of a hub cache has; any of them.
const REPOSITORY_PARTS: [&str; 3] = ["blobs", "snapshots", "refs"];
/// What lies beside a hub cache in the home of the Hugging Face libraries.
const BESIDE_HUB: [&str; 4] = ["token", "stored_tokens", "xet", "datasets"];
/// What blobs of Ollama are named with.
const OLLAMA_BLOB: &[u8] = b"sha256-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreKind {
    /// `models--ORG--NAME` and their like.
    Hub,
    /// One of these.
    HubRepository,
    /// `manifests` and `blobs`.
    Ollama,
    /// Anything else.
    Plain,
}

impl StoreKind {
    /// For programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::HubRepository => "hub-repository",
            Self::Ollama => "ollama",
            Self::Plain => "directory",
        }
    }
}

/// A directory of models.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) kind: StoreKind,
    /// What it is, for people.
    pub(super) text: String,
}

impl Store {
    /// Looks at names; opens no file.
    ///
    /// # Errors
    /// `InvalidInput` if another directory is meant, `Io` if it cannot be read.
    pub(super) fn look(directory: &Path) -> Result<Self> {
        let names = names_in(directory)
            .map_err(|e| Error::io(format!("cannot read {}", directory.display()), e))?;
        refuse_home(directory, &names)?;
        let repositories: Vec<_> = names
            .iter()
            .filter(|name| is_repository(directory, name))
            .collect();
        if !repositories.is_empty() {
            return Ok(Self::hub(directory, &repositories));
        }
        let name = directory.file_name().map(OsString::from);
        let is_one = |name: OsString| {
            directory
                .parent()
                .is_some_and(|up| is_repository(up, &name))
        };
        if name.is_some_and(is_one) {
            refuse_shared(directory)?;
            return Ok(Self {
                kind: StoreKind::HubRepository,
                text: "a repository of a Hugging Face hub cache".into(),
            });
        }
        if is_ollama(directory) {
            let models = files_below(&directory.join("manifests"));
            return Ok(Self {
                kind: StoreKind::Ollama,
                text: format!("an Ollama store, {models} manifests"),
            });
        }
        Ok(Self {
            kind: StoreKind::Plain,
            text: "a directory".into(),
        })
    }

    fn hub(directory: &Path, repositories: &[&OsString]) -> Self {
        let snapshots = repositories.iter().map(|name| {
            let snapshots = names_in(&directory.join(name).join("snapshots"));
            snapshots.map_or(0, |names| names.len())
        });
        let marker = directory.join("blobs").join(SHARED_BLOBS_MARKER);
        let shared = if marker.is_file() {
            ", with a store of blobs that they share"
        } else {
            ""
        };
        Self {
            kind: StoreKind::Hub,
            text: format!(
                "a Hugging Face hub cache, {} repositories, {} snapshots{shared}",
                repositories.len(),
                snapshots.sum::<usize>()
            ),
        }
    }
}

/// `models--ORG--NAME`, with what a repository has.
fn is_repository(hub: &Path, name: &OsString) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.windows(2).any(|two| two == b"--")
        && REPOSITORY_PARTS
            .iter()
            .any(|part| hub.join(name).join(part).is_dir())
}

fn is_hub(directory: &Path) -> bool {
    let is_one = |name: &OsString| is_repository(directory, name);
    names_in(directory).is_ok_and(|names| names.iter().any(is_one))
}

fn is_ollama(directory: &Path) -> bool {
    let is_blob = |name: &OsString| name.as_encoded_bytes().starts_with(OLLAMA_BLOB);
    directory.join("manifests").is_dir()
        && names_in(&directory.join("blobs")).is_ok_and(|names| names.iter().any(is_blob))
}

/// The directories that programs keep stores in, beside keys, tokens and caches that they write all the time.
fn refuse_home(directory: &Path, names: &[OsString]) -> Result<()> {
    let has = |name: &str| names.iter().any(|there| there == name);
    let refuse = |whose: &str, store: &str| {
        Err(Error::InvalidInput(format!(
            "{} holds more of {whose} than models; name {}",
            printable_name(directory),
            printable_name(&directory.join(store))
        )))
    };
    let is_named = |name: &str| directory.file_name().is_some_and(|own| own == name);
    if has("hub")
        && (is_named("huggingface") || BESIDE_HUB.iter().any(|name| has(name)))
        && is_hub(&directory.join("hub"))
    {
        return refuse("the Hugging Face libraries", "hub");
    }
    if has("models")
        && (is_named(".ollama") || has("id_ed25519"))
        && is_ollama(&directory.join("models"))
    {
        return refuse("Ollama", "models");
    }
    Ok(())
}

/// A repository whose blobs lie in a store that all of the hub share.
fn refuse_shared(repository: &Path) -> Result<()> {
    let blobs = repository.join("blobs");
    let leads_away = |name: &OsString| {
        let target = fs::read_link(blobs.join(name));
        target.is_ok_and(|target| leads_out(1, &target))
    };
    let names = names_in(&blobs).unwrap_or_default();
    if names.iter().any(leads_away) {
        let hub = repository.parent().unwrap_or(repository);
        return Err(Error::InvalidInput(format!(
            "{} has blobs in a store that all repositories of the cache share; name the cache: {}",
            printable_name(repository),
            printable_name(hub)
        )));
    }
    Ok(())
}

fn files_below(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let count = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path()),
        Ok(kind) => usize::from(kind.is_file()),
        Err(_) => 0,
    };
    entries.flatten().map(count).sum()
}

fn names_in(directory: &Path) -> std::io::Result<Vec<OsString>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn with(directories: &[&str], files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in directories {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        for name in files {
            fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            fs::write(root.path().join(name), "").unwrap();
        }
        root
    }

    #[test]
    fn stores_are_told_by_what_is_in_them() {
        let hub = [
            "hub/models--a--b/blobs",
            "hub/models--a--b/refs",
            "hub/models--a--b/snapshots/1",
            "hub/datasets--c/snapshots/2",
            "hub/datasets--c/snapshots/3",
            "hub/.locks",
            "a--b/c",
        ];
        let files = [
            "hub/CACHEDIR.TAG",
            "hub/blobs/.huggingface-shared-blobs",
            "models/manifests/registry.ollama.ai/library/x/latest",
            "models/blobs/sha256-12",
        ];
        let root = with(&hub, &files);
        for (name, kind, text) in [
            (
                "hub",
                StoreKind::Hub,
                "a Hugging Face hub cache, 2 repositories, 3 snapshots, with a store of blobs that they share",
            ),
            (
                "hub/models--a--b",
                StoreKind::HubRepository,
                "a repository of a Hugging Face hub cache",
            ),
            ("models", StoreKind::Ollama, "an Ollama store, 1 manifests"),
            ("a--b", StoreKind::Plain, "a directory"),
            ("", StoreKind::Plain, "a directory"),
        ] {
            let store = Store::look(&root.path().join(name)).unwrap();
            assert_eq!((store.kind, store.text.as_str()), (kind, text), "{name}");
        }
    }

    #[test]
    fn where_stores_lie_beside_other_things_they_are_named() {
        let root = with(
            &["huggingface/hub/models--a--b/blobs"],
            &[
                "huggingface/token",
                ".ollama/id_ed25519",
                ".ollama/models/manifests/x",
                ".ollama/models/blobs/sha256-12",
            ],
        );
        let shared = root.path().join("huggingface/hub/models--a--b/blobs/1234");
        symlink("../../blobs/12/34", shared).unwrap();
        for (name, meant) in [
            ("huggingface", "huggingface/hub"),
            (".ollama", ".ollama/models"),
            ("huggingface/hub/models--a--b", "huggingface/hub"),
        ] {
            let error = Store::look(&root.path().join(name))
                .unwrap_err()
                .to_string();
            assert!(error.ends_with(meant), "{error}");
        }
    }
}
