//! Requests of the kernel that change something.
//!
//! As all others they are handled on the thread that read them, but for those that write to what may be the file of an archive:
//! these go on a thread of their own, so that however many wait until it is decoded, readers are answered. Names for which an
//! archive has to become a file first are rare, and made where they are asked for.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use fuser::{
    BackingId, Errno, FileHandle, FopenFlags, Generation, INodeNo, OpenAccMode, OpenFlags,
    ReplyAttr, ReplyCreate, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
};

use super::attributes::{file_attr, kind_of_mode};
use super::messages::Messages;
use super::server::{Server, open_flags};
use crate::error::Result;
use crate::fs::{Access, Attr, Handle, Inode, ModelTree, New, NewAttr, OpenFile};
use crate::os::{User, start_thread};

/// Who asks.
fn user(request: &Request) -> User {
    User {
        uid: request.uid(),
        gid: request.gid(),
    }
}

impl Server {
    pub(super) fn access(&self, flags: OpenFlags) -> Access {
        let mode = flags.acc_mode();
        Access {
            reads: mode != OpenAccMode::O_WRONLY,
            writes: mode != OpenAccMode::O_RDONLY,
            may_pass: self.backings.are_offered(),
        }
    }

    pub(super) fn answer_open(
        &self,
        inode: Inode,
        access: Access,
        open: &OpenFile,
        reply: ReplyOpen,
    ) {
        let handle = FileHandle(open.handle);
        let flags = flags_of(open, access);
        match self.backing(inode, open, |file| reply.open_backing(file)) {
            Some(backing) => reply.opened_passthrough(handle, flags, &backing),
            None => reply.opened(handle, flags),
        }
    }

    /// The backing of an open file that the kernel is to read and write itself; where it refuses, the mount serves it.
    fn backing(
        &self,
        inode: Inode,
        open: &OpenFile,
        make: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> Option<Arc<BackingId>> {
        let file = open.passed.as_ref()?;
        let backing = self.backings.of(inode, open.handle, file, make);
        if backing.is_none() {
            self.tree.serve(open.handle);
        }
        backing
    }

    pub(super) fn make_file(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        (mode, umask, flags): (u32, u32, i32),
        reply: ReplyCreate,
    ) {
        let access = self.access(OpenFlags(flags));
        let new = new(request, mode, umask);
        let created = self.tree.create(parent.0, name, &new, access);
        if let Err(error) = &created
            && error.errno() == libc::EEXIST
            && flags & libc::O_EXCL == 0
        {
            // Somebody else was first. Whether the caller may open that one the kernel has not asked, as for what is made:
            // it looks again, and does.
            return reply.error(Errno::ESTALE);
        }
        let (attr, open) = match created {
            Ok(created) => created,
            Err(error) => return reply.error(self.messages.errno("create", &error)),
        };
        let handle = FileHandle(open.handle);
        let flags = flags_of(&open, access);
        let backing = self.backing(attr.inode, &open, |file| reply.open_backing(file));
        let (ttl, attr) = (&self.ttl, file_attr(&attr));
        match backing {
            Some(backing) => {
                reply.created_passthrough(ttl, &attr, Generation(0), handle, flags, &backing);
            }
            None => reply.created(ttl, &attr, Generation(0), handle, flags),
        }
    }

    pub(super) fn answer_entry(&self, operation: &str, made: Result<Attr>, reply: ReplyEntry) {
        match made {
            Ok(attr) => reply.entry(&self.ttl, &file_attr(&attr), Generation(0)),
            Err(error) => reply.error(self.messages.errno(operation, &error)),
        }
    }

    pub(super) fn answer_empty(&self, operation: &str, done: Result<()>, reply: ReplyEmpty) {
        match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(self.messages.errno(operation, &error)),
        }
    }

    pub(super) fn make_node(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        (mode, umask, device): (u32, u32, u32),
        reply: ReplyEntry,
    ) {
        let Some(kind) = kind_of_mode(mode) else {
            return reply.error(Errno::EINVAL);
        };
        // As the kernel encodes them for user space: twelve bits and twenty.
        let major = device >> 8 & 0xfff;
        let minor = device & 0xff | device >> 12 & 0xf_ff00;
        let new = new(request, mode, umask);
        let made = self
            .tree
            .make_node(parent.0, name, (kind, (major, minor)), &new);
        self.answer_entry("mknod", made, reply);
    }

    pub(super) fn make_directory(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        (mode, umask): (u32, u32),
        reply: ReplyEntry,
    ) {
        let new = new(request, mode, umask);
        let made = self.tree.make_directory(parent.0, name, &new);
        self.answer_entry("mkdir", made, reply);
    }

    pub(super) fn make_link(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let made = self.tree.make_link(parent.0, name, target, user(request));
        self.answer_entry("symlink", made, reply);
    }

    pub(super) fn change_attr(
        &self,
        inode: Inode,
        handle: Option<Handle>,
        new: NewAttr,
        reply: ReplyAttr,
    ) {
        let ttl = self.ttl;
        let change =
            move |tree: &ModelTree, messages: &Messages| match tree.set_attr(inode, handle, &new) {
                Ok(attr) => reply.attr(&ttl, &file_attr(&attr)),
                Err(error) => reply.error(messages.errno("setattr", &error)),
            };
        match new.size {
            Some(_) if self.tree.is_of_archive(inode) => self.later(change),
            _ => change(&self.tree, &self.messages),
        }
    }

    pub(super) fn write_to(&self, handle: Handle, offset: u64, bytes: &[u8], reply: ReplyWrite) {
        let answer =
            |written: Result<()>, len: usize, messages: &Messages, reply: ReplyWrite| match written
            {
                Ok(()) => reply.written(u32::try_from(len).unwrap_or(u32::MAX)),
                Err(error) => reply.error(messages.errno("write", &error)),
            };
        if !self.tree.is_archive(handle) {
            let written = self.tree.write(handle, offset, bytes);
            return answer(written, bytes.len(), &self.messages, reply);
        }
        let bytes = bytes.to_vec();
        self.later(move |tree, messages| {
            let written = tree.write(handle, offset, &bytes);
            answer(written, bytes.len(), messages, reply);
        });
    }

    pub(super) fn allocate(
        &self,
        handle: Handle,
        (mode, offset, len): (i32, u64, u64),
        reply: ReplyEmpty,
    ) {
        let mode = mode.cast_unsigned();
        let allocate = move |tree: &ModelTree, messages: &Messages| match tree
            .allocate(handle, mode, offset, len)
        {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(messages.errno("fallocate", &error)),
        };
        match self.tree.is_archive(handle) {
            true => self.later(allocate),
            false => allocate(&self.tree, &self.messages),
        }
    }

    /// Does something that may take as long as decoding a whole archive. Nobody else waits for it.
    fn later(&self, work: impl FnOnce(&ModelTree, &Messages) + Send + 'static) {
        let (tree, messages) = (Arc::clone(&self.tree), Arc::clone(&self.messages));
        // A reply that is dropped tells the kernel EIO.
        let started = start_thread("decode", move || work(&tree, &messages));
        if let Err(error) = started {
            self.messages.errno("write", &error);
        }
    }
}

fn new(request: &Request, mode: u32, umask: u32) -> New {
    New {
        mode,
        umask,
        owner: user(request),
    }
}

/// Who writes is told at the end what went wrong.
fn flags_of(open: &OpenFile, access: Access) -> FopenFlags {
    let mut flags = open_flags(open.keep_cache);
    flags.set(FopenFlags::FOPEN_NOFLUSH, !access.writes);
    flags
}
