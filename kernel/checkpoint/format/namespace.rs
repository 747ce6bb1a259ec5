// SPDX-License-Identifier: GPL-2.0

//! Namespaces.

use super::ObjRef;

record! {
    /// A UTS namespace: `struct new_utsname`, the parts that can be set.
    pub struct UtsNs: kind 0x10, version 1, size 136 {
        /// sethostname(2), padded with zeros.
        pub nodename: [u8; 65],
        /// setdomainname(2), padded with zeros.
        pub domainname: [u8; 65],
        /// Zero.
        pub reserved: [u8; 6],
    }
}

record! {
    /// An IPC namespace without objects in it.
    pub struct IpcNs: kind 0x11, version 1, size 8 {
        /// Zero.
        pub reserved: u64,
    }
}

record! {
    /// The pid namespace of a container's init.
    pub struct PidNs: kind 0x12, version 1, size 8 {
        /// The pid that was given out last.
        pub last_pid: i32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// The time namespace of a container: what its clocks said when the tree was frozen.
    pub struct TimeNs: kind 0x14, version 1, size 16 {
        /// CLOCK_MONOTONIC, in ns.
        pub monotonic: i64,
        /// CLOCK_BOOTTIME, in ns.
        pub boottime: i64,
    }
}

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
