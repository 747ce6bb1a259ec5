// SPDX-License-Identifier: GPL-2.0

//! The objects of a checkpoint: which ones have a number, and who refers to them.
//!
//! A shared object (an open file, an address space ...) is saved when the tree is first seen to
//! refer to it, and counted each time. In container mode the counts are compared with the
//! kernel's own: a difference means that somebody outside shares the object, so that a restart
//! could not be faithful (*leak detection*).

use crate::error::Result;
use crate::format::ObjRef;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

/// What kind of C structure an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// `struct cred`
    Cred,
    /// `struct signal_struct`
    Process,
    /// `struct sighand_struct`
    Sighand,
    /// `struct nsproxy`
    Namespaces,
    /// `struct pid_namespace`
    PidNs,
    /// `struct pid_namespace` that a task has made for its children
    PidNsForChildren,
    /// `struct user_namespace`
    UserNs,
    /// `struct mm_struct`
    Mm,
    /// `struct inode` of shared memory
    Shmem,
    /// `struct inode` of a file without a name
    Unnamed,
    /// SysV shared memory, by its identifier
    ShmSegment,
    /// `struct files_struct`
    Files,
    /// `struct fs_struct`
    Fs,
    /// `struct file`
    File,
    /// `struct pipe_inode_info`
    Pipe,
    /// `struct sock` of the first of two that are connected
    #[cfg(CONFIG_INET)]
    SocketPair,
    /// `struct tty_struct` of the slave
    Pty,
    /// `struct seccomp_filter`
    Seccomp,
    /// `struct pid` that a pidfd refers to and no task has any more
    Pid,
}

/// What is known of an object.
pub(crate) struct Object {
    /// Its number in the image.
    pub(crate) number: ObjRef,
    /// How often the tree refers to it.
    pub(crate) references: u64,
}

/// The objects that have a number, by the address of the C structure.
pub(crate) struct ObjectTable {
    tree: RBTree<(Class, usize), Object>,
}

impl ObjectTable {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self {
            tree: RBTree::new(),
        }
    }

    /// The number of an object that was seen before; counts the reference.
    pub(crate) fn refer(&mut self, class: Class, address: usize) -> Option<ObjRef> {
        let object = self.tree.get_mut(&(class, address))?;

        object.references = object.references.saturating_add(1);
        Some(object.number)
    }

    /// The number of an object, if it was seen before.
    pub(crate) fn find(&self, class: Class, address: usize) -> Option<ObjRef> {
        self.tree.get(&(class, address)).map(|object| object.number)
    }

    /// Adds an object that has just been saved, with one reference.
    pub(crate) fn insert(&mut self, class: Class, address: usize, number: ObjRef) -> Result {
        let object = Object {
            number,
            references: 1,
        };

        if self.find(class, address).is_some() {
            return Err(EEXIST.into());
        }
        self.tree
            .try_create_and_insert((class, address), object, GFP_KERNEL)?;
        Ok(())
    }

    /// How often the tree refers to an object.
    pub(crate) fn references(&self, class: Class, address: usize) -> u64 {
        self.tree
            .get(&(class, address))
            .map_or(0, |object| object.references)
    }
}

/// Who has something that several tasks can have and that is no object: the first of the tasks,
/// and how many they are.
pub(crate) struct Sharers {
    tree: RBTree<usize, (i32, u32)>,
}

impl Sharers {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        Self {
            tree: RBTree::new(),
        }
    }

    /// Adds a task to those that have it; gives the first.
    pub(crate) fn join(&mut self, key: usize, tid: i32) -> Result<i32> {
        if let Some((first, count)) = self.tree.get_mut(&key) {
            *count = count.saturating_add(1);
            return Ok(*first);
        }
        self.tree.try_create_and_insert(key, (tid, 1), GFP_KERNEL)?;
        Ok(tid)
    }

    /// How many have it.
    pub(crate) fn count(&self, key: usize) -> u32 {
        self.tree.get(&key).map_or(0, |(_, count)| *count)
    }
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[kunit_tests(checkpoint_object)]
mod tests {
    use super::*;

    #[test]
    fn references_are_counted() -> core::result::Result<(), kernel::error::Error> {
        let mut table = ObjectTable::new();

        assert!(table.refer(Class::File, 0x1000).is_none());
        table
            .insert(Class::File, 0x1000, ObjRef(7))
            .map_err(|error| error.errno())?;
        assert_eq!(table.references(Class::File, 0x1000), 1);
        assert_eq!(table.refer(Class::File, 0x1000), Some(ObjRef(7)));
        assert_eq!(table.find(Class::File, 0x1000), Some(ObjRef(7)));
        assert_eq!(table.references(Class::File, 0x1000), 2);
        Ok(())
    }

    #[test]
    fn classes_have_addresses_of_their_own() -> core::result::Result<(), kernel::error::Error> {
        let mut table = ObjectTable::new();

        table
            .insert(Class::File, 0x1000, ObjRef(1))
            .map_err(|error| error.errno())?;
        assert!(table.refer(Class::Mm, 0x1000).is_none());
        assert_eq!(table.references(Class::Mm, 0x1000), 0);
        Ok(())
    }

    #[test]
    fn an_object_is_inserted_once() -> core::result::Result<(), kernel::error::Error> {
        let mut table = ObjectTable::new();

        table
            .insert(Class::Pipe, 8, ObjRef(1))
            .map_err(|error| error.errno())?;
        assert!(table.insert(Class::Pipe, 8, ObjRef(2)).is_err());
        assert_eq!(table.find(Class::Pipe, 8), Some(ObjRef(1)));
        Ok(())
    }
}
