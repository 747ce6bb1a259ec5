// SPDX-License-Identifier: GPL-2.0

//! Namespaces.

use super::ObjRef;

record! {
    /// A UTS namespace: `struct new_utsname`, the parts that can be set.
    pub struct UtsNs: kind 0x10, version 1, size 136 {
        /// The [`UserNs`] that it belongs to, or none.
        pub user_ns: ObjRef,
        /// sethostname(2), padded with zeros.
        pub nodename: [u8; 65],
        /// setdomainname(2), padded with zeros.
        pub domainname: [u8; 65],
        /// Zero.
        pub reserved: [u8; 2],
    }
}

record! {
    /// An IPC namespace.
    pub struct IpcNs: kind 0x11, version 1, size 168 {
        /// Settings, `/proc/sys/kernel` and `/proc/sys/fs/mqueue`: semmsl, semmns, semopm, semmni;
        /// msgmax, msgmnb, msgmni; shmmni, shm_rmid_forced, shmmax, shmall; queues_max, msg_max,
        /// msgsize_max, msg_default, msgsize_default.
        pub limits: [u64; 16],
        /// For semaphores, message queues and segments: sequence number, last index, next index.
        pub next: [i32; 9],
        /// The [`UserNs`] that it belongs to, or none.
        pub user_ns: ObjRef,
    }
}

plain! {
    /// What all SysV objects have: `struct ipc_perm`.
    pub struct IpcPerm: size 32 {
        /// The identifier.
        pub id: i32,
        /// The key, or 0 (IPC_PRIVATE).
        pub key: i32,
        /// Owner.
        pub uid: u32,
        /// Group of the owner.
        pub gid: u32,
        /// Creator.
        pub cuid: u32,
        /// Group of the creator.
        pub cgid: u32,
        /// Permissions; of a segment also `SHM_DEST` and `SHM_LOCKED`.
        pub mode: u32,
        /// Zero.
        pub reserved: u32,
    }
}

/// [`ShmSegment::flags`]: made with SHM_NORESERVE.
pub const SHM_NORESERVE: u32 = 1;

record! {
    /// A segment of SysV shared memory; its pages are in the image.
    pub struct ShmSegment: kind 0x16, version 1, size 96 {
        /// The [`IpcNs`].
        pub ipc: ObjRef,
        /// `SHM_NORESERVE` or 0.
        pub flags: u32,
        /// See [`IpcPerm`].
        pub perm: IpcPerm,
        /// Bytes.
        pub size: u64,
        /// Of the last attachment, detachment, change, in seconds.
        pub times: [i64; 3],
        /// Of the creator and of the last user, or 0.
        pub pids: [i32; 2],
        /// The thread that has made it and lives, or 0; see kernel.shm_rmid_forced.
        pub creator: i32,
        /// How many mappings it has (`shm_nattch`).
        pub attached: u32,
        /// The key that it was made with, which /proc/PID/maps tells.
        pub name: i32,
        /// Log2 of the bytes of its pages if they are huge (SHM_HUGETLB), or 0.
        pub huge: u32,
    }
}

plain! {
    /// A semaphore of a [`SemSet`].
    pub struct Semaphore: size 8 {
        /// Its value.
        pub value: u32,
        /// Who changed it last, or 0.
        pub pid: i32,
    }
}

record! {
    /// A set of SysV semaphores. The tail is `count` [`Semaphore`]s.
    pub struct SemSet: kind 0x17, version 1, size 56 {
        /// The [`IpcNs`].
        pub ipc: ObjRef,
        /// How many.
        pub count: u32,
        /// See [`IpcPerm`].
        pub perm: IpcPerm,
        /// Of the last semop(2) and the last change, in seconds.
        pub times: [i64; 2],
    }
}

record! {
    /// What is to be undone of a set of semaphores when the last of some tasks ends (SEM_UNDO). The
    /// tail is `count` adjustments, i16 each, and zeros up to a multiple of eight bytes. The records
    /// of a task stand in the order in which it is done.
    pub struct SemUndo: kind 0x1c, version 1, size 16 {
        /// The [`IpcNs`].
        pub ipc: ObjRef,
        /// Thread id of the first of the tasks; the others name it as well:
        /// [`super::task::Attributes::sem_undo`].
        pub tid: i32,
        /// The set.
        pub id: i32,
        /// How many semaphores the set has.
        pub count: u32,
    }
}

plain! {
    /// A message of a [`MsgQueue`].
    pub struct Message: size 16 {
        /// Its type.
        pub kind: i64,
        /// Bytes.
        pub len: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// A SysV message queue. The tail is `count` [`Message`]s and the bytes of all of them.
    pub struct MsgQueue: kind 0x18, version 1, size 88 {
        /// The [`IpcNs`].
        pub ipc: ObjRef,
        /// How many messages.
        pub count: u32,
        /// See [`IpcPerm`].
        pub perm: IpcPerm,
        /// Of the last msgsnd(2), the last msgrcv(2) and the last change, in seconds.
        pub times: [i64; 3],
        /// Who sent and who received last, or 0.
        pub pids: [i32; 2],
        /// Bytes that it holds at most.
        pub qbytes: u64,
        /// Bytes of all messages.
        pub bytes: u64,
    }
}

record! {
    /// The pid namespace of a container's init, or one that is nested in that of the root.
    pub struct PidNs: kind 0x12, version 1, size 16 {
        /// The pid that was given out last.
        pub last_pid: i32,
        /// The one that it is nested in; none if that is the one of the root, or if it is that
        /// itself.
        pub parent: ObjRef,
        /// The [`UserNs`] that it belongs to, or none.
        pub user_ns: ObjRef,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// The time namespace of a container: what its clocks said when the tree was frozen. It belongs
    /// to the user namespace to which the pid namespace of the container belongs.
    pub struct TimeNs: kind 0x14, version 1, size 16 {
        /// CLOCK_MONOTONIC, in ns.
        pub monotonic: i64,
        /// CLOCK_BOOTTIME, in ns.
        pub boottime: i64,
    }
}

plain! {
    /// A line of /proc/PID/uid_map, gid_map or projid_map.
    pub struct IdRange: size 16 {
        /// The first id inside.
        pub first: u32,
        /// The first id in the namespace around it.
        pub lower: u32,
        /// How many.
        pub count: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// A user namespace. The tail is as many [`IdRange`]s as `ranges` says, those of user ids first.
    /// "None" is the namespace of whoever restarts.
    pub struct UserNs: kind 0x19, version 1, size 80 {
        /// The [`UserNs`] around it, or none.
        pub parent: ObjRef,
        /// `USER_NS_*`
        pub flags: u32,
        /// Who has made it: user id, in the namespace of whoever saves.
        pub owner: u32,
        /// The group id of the owner.
        pub group: u32,
        /// How many ranges the maps of user, group and project ids have; 0: not set yet.
        pub ranges: [u32; 3],
        /// `/proc/sys/user/max_*`: namespaces of users, pids, UTS, IPC, networks, mounts, cgroups
        /// and clocks; instances and watches of inotify; groups and marks of fanotify; interpreters
        /// of binfmt_misc.
        pub limits: [u32; 13],
    }
}

/// [`UserNs::flags`]: setgroups(2) is allowed (/proc/PID/setgroups).
pub const USER_NS_SETGROUPS: u32 = 1;
/// [`UserNs::flags`]: who has made it had CAP_SETFCAP.
pub const USER_NS_SETFCAP: u32 = 2;

record! {
    /// The namespaces of a task: `struct nsproxy`. "None" is the namespace of whoever restarts.
    pub struct Namespaces: kind 0x13, version 1, size 16 {
        /// A [`UtsNs`] or none.
        pub uts: ObjRef,
        /// An [`IpcNs`] or none.
        pub ipc: ObjRef,
        /// A [`PidNs`] or none.
        pub pid: ObjRef,
        /// A [`TimeNs`] or none.
        pub time: ObjRef,
    }
}
