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
use kernel::rbtree::RBTreeNode;

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
    /// `struct mm_struct`
    Mm,
    /// `struct inode` of shared memory
    Shmem,
    /// `struct files_struct`
    Files,
    /// `struct fs_struct`
    Fs,
    /// `struct file`
    File,
    /// `struct pipe_inode_info`
    Pipe,
    /// `struct tty_struct` of the slave
    Pty,
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
        Self { tree: RBTree::new() }
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
        let node = RBTreeNode::new((class, address), object, GFP_KERNEL)?;

        match self.tree.insert(node) {
            None => Ok(()),
            Some(_) => Err(EEXIST.into()),
        }
    }

    /// How often the tree refers to an object.
    pub(crate) fn references(&self, class: Class, address: usize) -> u64 {
        self.tree
            .get(&(class, address))
            .map_or(0, |object| object.references)
    }
}
