//! A mount of weightfs: whether it answers, what it has done, who reads from it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::found::Found;
use crate::daemon::{Answer, ask_within};
use crate::error::{Error, Result};
use crate::fs::MountStats;
use crate::fuse;
use crate::os::{MountUsers, users_of};

/// A mount that takes longer to answer is told to be silent.
const LIMIT: Duration = Duration::from_secs(10);

/// How a mount is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "why")]
pub(crate) enum MountState {
    Answers,
    /// No answer within the limit.
    Silent,
    /// It refuses, or nobody serves it any more.
    Refuses(String),
}

/// What a mount is and does.
#[derive(Debug, Serialize)]
pub(crate) struct MountFacts {
    pub(crate) mountpoint: PathBuf,
    #[serde(flatten)]
    pub(crate) state: MountState,
    /// As the table of mounts has them.
    pub(crate) options: Vec<String>,
    /// How far the kernel reads ahead in it.
    pub(crate) readahead_bytes: Found<u64>,
    /// What it has done since it was mounted.
    pub(crate) stats: Found<MountStats>,
    /// Who has files of it open or mapped now.
    pub(crate) users: Found<MountUsers>,
}

impl MountFacts {
    /// Asks the table of mounts, a mount through a process of its own, and `/proc`.
    ///
    /// # Errors
    /// `InvalidInput` if no mount of ours is there.
    pub(crate) fn gather(mountpoint: &Path) -> Result<Self> {
        let line = fuse::mount_line(mountpoint)?.ok_or_else(|| {
            Error::InvalidInput(format!("{} is not a weightfs mount", mountpoint.display()))
        })?;
        let question = ["stats", "--json", "--"].map(OsStr::new);
        let question = [&question[..], &[mountpoint.as_os_str()]].concat();
        let (state, stats) = match ask_within(&question, LIMIT)? {
            Answer::Given(text) => (
                MountState::Answers,
                serde_json::from_slice(&text)
                    .map_err(|error| format!("it is of another version: {error}"))
                    .into(),
            ),
            Answer::Refused(why) => (
                MountState::Refuses(why.clone()),
                Found::unknown(format!("it did not tell: {why}")),
            ),
            Answer::None => {
                let reason = format!("it did not answer within {} s", LIMIT.as_secs());
                (MountState::Silent, Found::unknown(reason))
            }
        };
        let users = match state {
            MountState::Answers => users_of(line.id, &line.device).into(),
            // The maps of a process may not be read while it waits for such a mount.
            _ => Found::unknown("the mount does not answer"),
        };
        let readahead = fuse::readahead(&line.device).ok_or_else(|| {
            format!(
                "/sys/class/bdi/{}/read_ahead_kb cannot be read",
                line.device
            )
        });
        Ok(Self {
            mountpoint: mountpoint.to_path_buf(),
            state,
            options: line.options,
            readahead_bytes: readahead.into(),
            stats,
            users,
        })
    }
}

/// Whether a path answers, which may lie on a file system that never does; asked by another process.
///
/// # Errors
/// `Io` if that could not be started.
pub(crate) fn ask_path(path: &Path) -> Result<MountState> {
    let question = [OsStr::new("ask"), OsStr::new("--"), path.as_os_str()];
    Ok(match ask_within(&question, LIMIT)? {
        Answer::Given(_) => MountState::Answers,
        Answer::Refused(why) => MountState::Refuses(why),
        Answer::None => MountState::Silent,
    })
}
