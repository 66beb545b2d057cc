//! Does as another user what makes files, so that they belong to that user.
//!
//! Of the thread alone: each has credentials of its own for the system. Whether the user may do it was decided before,
//! by whoever has the user's groups and access lists at hand; so permissions do not count here. Nothing else of root's
//! powers is left meanwhile.

use std::io;

use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{
    CapabilitySet, capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid,
};

/// Somebody, as the system knows users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Number of the user.
    pub uid: u32,
    /// Number of the user's group.
    pub gid: u32,
}

/// Powers that make up for decisions taken already.
const DECIDED: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD);

/// The thread is somebody else as long as this lives.
#[derive(Debug)]
pub struct Acting {
    own_uid: Uid,
    own_gid: Gid,
    /// A guard of a thread must not leave it.
    stays: std::marker::PhantomData<*const ()>,
}

impl User {
    /// Who the process is.
    pub fn own() -> Self {
        Self {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        }
    }
}

/// Has the thread be a user; `None` if it is already.
///
/// # Errors
/// EACCES if the process is not root: it can be nobody else.
pub fn act_as(user: User) -> io::Result<Option<Acting>> {
    let own = User::own();
    if own == user {
        return Ok(None);
    }
    if own.uid == user.uid && own.uid != 0 {
        // A user in another group, which takes no rights away.
        return Ok(None);
    }
    if own.uid != 0 {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let acting = Acting {
        own_uid: Uid::from_raw(own.uid),
        own_gid: Gid::from_raw(own.gid),
        stays: std::marker::PhantomData,
    };
    set_thread_res_gid(None, Gid::from_raw(user.gid), None)?;
    if user.uid != own.uid {
        set_thread_res_uid(None, Uid::from_raw(user.uid), None)?;
        let mut sets = capabilities(None)?;
        sets.effective = sets.permitted & DECIDED;
        set_capabilities(None, sets)?;
    }
    Ok(Some(acting))
}

impl Drop for Acting {
    fn drop(&mut self) {
        // What was permitted is effective again with root's number.
        let back = set_thread_res_uid(None, self.own_uid, None)
            .and_then(|()| set_thread_res_gid(None, self.own_gid, None));
        if back.is_err() {
            // A thread that stays somebody else would do wrong to all who come.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn what_root_makes_for_a_user_belongs_to_the_user() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let owner = |name: &str| {
            let meta = fs::metadata(dir.path().join(name)).unwrap();
            (meta.uid(), meta.gid())
        };
        let own = User::own();
        let other = User {
            uid: 1234,
            gid: 1235,
        };
        let acting = act_as(other);
        if own.uid != 0 {
            let error = acting.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EACCES));
            return;
        }
        fs::write(dir.path().join("theirs"), b"").unwrap();
        drop(acting);
        fs::write(dir.path().join("own"), b"").unwrap();
        assert_eq!(owner("theirs"), (1234, 1235));
        assert_eq!(owner("own"), (own.uid, own.gid));
        assert!(act_as(own).unwrap().is_none());
    }
}
