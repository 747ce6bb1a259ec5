// SPDX-License-Identifier: GPL-2.0

//! Open files and paths.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/file.h`](srctree/include/linux/file.h)

use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::str::CString;
use kernel::sync::aref::ARef;

/// A reference to an open file.
pub(crate) type FileRef = ARef<File>;

/// Paths have fewer bytes than this.
pub(crate) const PATH_MAX: usize = bindings::PATH_MAX as usize;

/// Takes over a reference to a file.
///
/// # Safety
///
/// `file` must be valid, and the caller must own a reference that it gives away. No `fdget_pos`
/// may be active on it.
pub(super) unsafe fn from_raw(file: *mut bindings::file) -> Result<FileRef> {
    let file = NonNull::new(from_err_ptr(file)?).ok_or(EBADF)?;

    // SAFETY: By the safety requirements; `File` is a transparent wrapper of `struct file`.
    Ok(unsafe { ARef::from_raw(file.cast()) })
}

/// Takes a new reference to a file that C lends.
///
/// # Safety
///
/// `file` must be valid during the call, with a reference count that is not zero.
pub(super) unsafe fn get(file: *mut bindings::file) -> FileRef {
    // SAFETY: By the safety requirements.
    unsafe { File::from_raw_file(file) }.into()
}

/// What an open file is, apart from what its own kind of file knows.
#[derive(Clone, Copy)]
pub(crate) struct Status {
    /// `O_*`.
    pub(crate) flags: u32,
    /// Type and permissions of the inode.
    pub(crate) mode: u32,
    /// Device number of a device.
    pub(crate) rdev: u32,
    /// Position.
    pub(crate) pos: i64,
}

/// Reads what the file is.
pub(crate) fn status(file: &File) -> Status {
    // SAFETY: The file is referenced, and so is its inode. A position that is being changed is
    // read as a single word.
    unsafe {
        let raw = file.as_ptr();
        let inode = (*raw).f_inode;

        Status {
            flags: file.flags(),
            mode: u32::from((*inode).i_mode),
            rdev: (*inode).i_rdev,
            pos: core::ptr::read_volatile(&raw const (*raw).f_pos),
        }
    }
}

/// How many references the file has (`file_count`).
pub(crate) fn count(file: &File) -> u64 {
    // SAFETY: The file is referenced.
    unsafe { bindings::file_count(file.as_ptr()) as u64 }
}

/// The identity of the file.
pub(crate) fn key(file: &File) -> usize {
    file.as_ptr() as usize
}

/// What of the file cannot be saved, whatever its kind.
pub(crate) fn refused(file: &File) -> Option<&'static str> {
    // SAFETY: The file is referenced.
    unsafe {
        if bindings::checkpoint_file_has_owner(file.as_ptr()) {
            Some("sends signals to an owner (F_SETOWN)")
        } else if bindings::checkpoint_file_has_lease(file.as_ptr()) {
            Some("holds a lease (F_SETLEASE)")
        } else if file.flags() & bindings::FASYNC != 0 {
            Some("sends signals when it is ready (O_ASYNC)")
        } else {
            None
        }
    }
}

/// Whether the file is of a file system that holds files for its users, as opposed to one in
/// which the kernel shows itself.
pub(crate) fn is_on_disk(file: &File) -> bool {
    // SAFETY: The file is referenced, and so are its inode and superblock.
    unsafe { bindings::checkpoint_is_user_fs(file.as_ptr()) }
}

/// Whether the file's name is gone.
pub(crate) fn is_unlinked(file: &File) -> bool {
    // SAFETY: The file is referenced, and so is its path.
    unsafe { bindings::path_unlinked((*file.as_ptr()).__bindgen_anon_1.f_path.dentry) != 0 }
}

/// A place in the file systems: `struct path`, referenced.
pub(crate) struct Path(bindings::path);

// SAFETY: References to mounts and dentries may be used and dropped by any task.
unsafe impl Send for Path {}
// SAFETY: As above; nothing is changed through a shared reference.
unsafe impl Sync for Path {}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: The type owns a reference.
        unsafe { bindings::path_put(&raw const self.0) };
    }
}

impl Path {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// `path` must be referenced, and the caller gives that reference away.
    pub(super) unsafe fn from_raw(path: bindings::path) -> Self {
        Self(path)
    }

    pub(super) fn as_ptr(&self) -> *const bindings::path {
        &raw const self.0
    }

    /// The caller's root directory.
    pub(crate) fn current_root() -> Self {
        let mut path = bindings::path::default();

        // SAFETY: The function fills in the path and takes a reference.
        unsafe { bindings::checkpoint_current_root(&raw mut path) };
        Self(path)
    }

    /// The path of an open file.
    pub(crate) fn of(file: &File) -> Self {
        // SAFETY: The file is referenced, and so is its path; the copy takes its own reference.
        unsafe {
            let path = (*file.as_ptr()).__bindgen_anon_1.f_path;

            bindings::path_get(&raw const path);
            Self(path)
        }
    }

    /// Whether both are the same place.
    pub(crate) fn is(&self, other: &Path) -> bool {
        self.0.mnt == other.0.mnt && self.0.dentry == other.0.dentry
    }

    /// Whether the name is gone.
    pub(crate) fn is_unlinked(&self) -> bool {
        // SAFETY: The path is referenced.
        unsafe { bindings::path_unlinked(self.0.dentry) != 0 }
    }

    /// The name of the path as seen from `root`. `ENAMETOOLONG`: it has more than `PATH_MAX` bytes.
    /// `EXDEV`: it is not below `root`.
    pub(crate) fn name(&self, root: &Path) -> Result<CString> {
        let mut buffer = KVec::from_elem(0u8, PATH_MAX, GFP_KERNEL)?;

        // SAFETY: Both paths are referenced, and the buffer has the length that is told. The
        // function gives a string inside of the buffer, null or an error pointer.
        unsafe {
            let len = buffer.len() as i32;
            let name = from_err_ptr(bindings::__d_path(
                self.as_ptr(),
                root.as_ptr(),
                buffer.as_mut_ptr().cast(),
                len,
            ))?;

            if name.is_null() {
                return Err(EXDEV);
            }
            Ok(CString::try_from(CStr::from_char_ptr(name.cast_const()))?)
        }
    }

    /// A name for people (`d_path`): also of what has lost its path or never had one.
    pub(crate) fn description(&self) -> Result<CString> {
        let mut buffer = KVec::from_elem(0u8, PATH_MAX, GFP_KERNEL)?;

        // SAFETY: The path is referenced, and the buffer has the length that is told. The function
        // gives a string inside of the buffer or an error pointer.
        unsafe {
            let name = from_err_ptr(bindings::d_path(
                self.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len() as i32,
            ))?;

            Ok(CString::try_from(CStr::from_char_ptr(name.cast_const()))?)
        }
    }

    /// Opens a path that starts at `self`, with the rights of the running task.
    pub(crate) fn open(&self, name: &CStr, flags: u32) -> Result<FileRef> {
        // SAFETY: The path is referenced and the name is a string; the function gives a new
        // reference or an error pointer.
        unsafe {
            from_raw(bindings::file_open_root(
                self.as_ptr(),
                name.as_char_ptr(),
                flags as i32,
                0,
            ))
        }
    }

    /// Opens what is there, without looking at names (`dentry_open`).
    pub(crate) fn open_here(&self, flags: u32) -> Result<FileRef> {
        // SAFETY: The path is referenced; the credentials are those of the running task; the
        // function gives a new reference or an error pointer.
        unsafe {
            from_raw(bindings::dentry_open(
                self.as_ptr(),
                flags as i32,
                bindings::checkpoint_current_cred(),
            ))
        }
    }
}

/// Moves the position (`vfs_llseek`). For files that have none it does nothing.
pub(crate) fn seek(file: &File, pos: i64) -> Result {
    // SAFETY: The file is referenced. The offset goes through a helper, since 64 bits by value
    // are not safe between Rust and C on 32-bit machines.
    to_result(unsafe { bindings::checkpoint_llseek(file.as_ptr(), &raw const pos) })
}
