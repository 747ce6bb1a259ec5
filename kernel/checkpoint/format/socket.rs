// SPDX-License-Identifier: GPL-2.0

//! Sockets.

use super::file::OpenFile;
use super::ObjRef;

/// `AF_UNIX`.
pub const AF_UNIX: u32 = 1;
/// `AF_INET`.
pub const AF_INET: u32 = 2;
/// `AF_INET6`.
pub const AF_INET6: u32 = 10;
/// `SOCK_STREAM`.
pub const SOCK_STREAM: u32 = 1;
/// `SOCK_DGRAM`.
pub const SOCK_DGRAM: u32 = 2;
/// `SOCK_SEQPACKET`.
pub const SOCK_SEQPACKET: u32 = 5;
/// `IPPROTO_TCP`.
pub const IPPROTO_TCP: u32 = 6;
/// `IPPROTO_UDP`.
pub const IPPROTO_UDP: u32 = 17;

/// Bytes of the longest value of an option.
pub const SOCKET_VALUE: usize = 16;
/// Bytes of the longest address.
pub const SOCKET_ADDRESS: usize = 128;

plain! {
    /// An option of a socket: what setsockopt(2) is called with.
    pub struct SocketOption: size 32 {
        /// `SOL_*`.
        pub level: u32,
        /// The number of the option.
        pub name: u32,
        /// Bytes of the value.
        pub len: u32,
        /// Zero.
        pub reserved: u32,
        /// The value, padded with zeros.
        pub value: [u8; 16],
    }
}

/// [`SocketFile::flags`]: it has an address or a port.
pub const SOCKET_BOUND: u32 = 1;
/// [`SocketFile::flags`]: the port is the one that bind(2) was asked for, not any that was free.
pub const SOCKET_PORT: u32 = 2;
/// [`SocketFile::flags`]: listen(2).
pub const SOCKET_LISTENS: u32 = 4;

record! {
    /// Two sockets of AF_UNIX without a name that are connected to each other, as socketpair(2) makes
    /// them.
    pub struct SocketPair: kind 0x73, version 1, size 8 {
        /// `SOCK_*`.
        pub kind: u32,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// A socket that is not connected, or one of a pair. The tail is `options` [`SocketOption`]s, in
    /// the order of [`OPTIONS`]; the path of the file that a socket of AF_UNIX is bound to; for one of
    /// a pair the lengths of `messages` that it has sent and the other one has not received, as `u32`,
    /// and their bytes.
    pub struct SocketFile: kind 0x72, version 2, size 240 {
        /// See [`OpenFile`].
        pub open: OpenFile,
        /// `AF_UNIX`, `AF_INET` or `AF_INET6`.
        pub family: u32,
        /// `SOCK_*`.
        pub kind: u32,
        /// `IPPROTO_TCP`, `IPPROTO_UDP`, or 0 for AF_UNIX.
        pub protocol: u32,
        /// `SOCKET_*`.
        pub flags: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
        /// Of listen(2); for AF_UNIX also the length of its queue otherwise.
        pub backlog: u32,
        /// How many packets were dropped (SO_MEMINFO, SO_RXQ_OVFL).
        pub drops: u32,
        /// When the last packet was received (SIOCGSTAMP), in ns.
        pub stamp: i64,
        /// Bytes of the address; 0 if it has none.
        pub address_len: u32,
        /// How many options the tail holds.
        pub options: u32,
        /// What getsockname(2) tells, padded with zeros.
        pub address: [u8; 128],
        /// The process that has called listen(2) or socketpair(2), as the root of the tree sees it, for
        /// AF_UNIX; or 0.
        pub creator: i32,
        /// Bytes of the path; 0 for none.
        pub path: u32,
        /// Permissions, owner and group of the file.
        pub path_mode: [u32; 3],
        /// The [`SocketPair`] that it belongs to, if any.
        pub pair: ObjRef,
        /// Which of the two it is: 0 or 1.
        pub side: u32,
        /// How many messages the tail holds.
        pub messages: u32,
        /// How many bytes of the first one have been received, of a stream.
        pub consumed: u32,
        /// Zero.
        pub reserved: u32,
    }
}

/// `SOL_SOCKET`.
pub const SOL_SOCKET: u32 = 1;
/// `SOL_IP`.
pub const SOL_IP: u32 = 0;
/// `SOL_IPV6`.
pub const SOL_IPV6: u32 = 41;
/// `SOL_TCP`.
pub const SOL_TCP: u32 = 6;
/// `SOL_UDP`.
pub const SOL_UDP: u32 = 17;

/// Every option that is kept, in the order in which they are set: level, number, name. A socket has
/// those of its protocol.
///
/// Other options do not depend on the past (SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_SNDLOWAT,
/// SO_BPF_EXTENSIONS, TCP_IS_MPTCP), belong to a connection (SO_PEERNAME, IP_MTU, TCP_SAVED_SYN), are
/// the state that the record tells (SO_ACCEPTCONN, SO_MEMINFO, TCP_INFO), have another name here
/// (SO_RCVTIMEO_OLD, IPV6_TRANSPARENT, IPV6_FREEBIND), or are refused where they are not as in a new
/// socket.
pub const OPTIONS: &[(u32, u32, &str)] = &[
    (SOL_SOCKET, 1, "SO_DEBUG"),
    (SOL_SOCKET, 2, "SO_REUSEADDR"),
    (SOL_SOCKET, 5, "SO_DONTROUTE"),
    (SOL_SOCKET, 6, "SO_BROADCAST"),
    (SOL_SOCKET, 9, "SO_KEEPALIVE"),
    (SOL_SOCKET, 10, "SO_OOBINLINE"),
    (SOL_SOCKET, 11, "SO_NO_CHECK"),
    (SOL_SOCKET, 13, "SO_LINGER"),
    (SOL_SOCKET, 15, "SO_REUSEPORT"),
    (SOL_SOCKET, 16, "SO_PASSCRED"),
    (SOL_SOCKET, 18, "SO_RCVLOWAT"),
    (SOL_SOCKET, 7, "SO_SNDBUF"),
    (SOL_SOCKET, 8, "SO_RCVBUF"),
    (SOL_SOCKET, 72, "SO_BUF_LOCK"),
    (SOL_SOCKET, 25, "SO_BINDTODEVICE"),
    (SOL_SOCKET, 62, "SO_BINDTOIFINDEX"),
    (SOL_SOCKET, 29, "SO_TIMESTAMP_OLD"),
    (SOL_SOCKET, 35, "SO_TIMESTAMPNS_OLD"),
    (SOL_SOCKET, 63, "SO_TIMESTAMP_NEW"),
    (SOL_SOCKET, 64, "SO_TIMESTAMPNS_NEW"),
    (SOL_SOCKET, 34, "SO_PASSSEC"),
    (SOL_SOCKET, 36, "SO_MARK"),
    (SOL_SOCKET, 40, "SO_RXQ_OVFL"),
    (SOL_SOCKET, 41, "SO_WIFI_STATUS"),
    (SOL_SOCKET, 42, "SO_PEEK_OFF"),
    (SOL_SOCKET, 43, "SO_NOFCS"),
    (SOL_SOCKET, 44, "SO_LOCK_FILTER"),
    (SOL_SOCKET, 45, "SO_SELECT_ERR_QUEUE"),
    (SOL_SOCKET, 46, "SO_BUSY_POLL"),
    (SOL_SOCKET, 47, "SO_MAX_PACING_RATE"),
    (SOL_SOCKET, 49, "SO_INCOMING_CPU"),
    (SOL_SOCKET, 60, "SO_ZEROCOPY"),
    (SOL_SOCKET, 66, "SO_RCVTIMEO_NEW"),
    (SOL_SOCKET, 67, "SO_SNDTIMEO_NEW"),
    (SOL_SOCKET, 69, "SO_PREFER_BUSY_POLL"),
    (SOL_SOCKET, 70, "SO_BUSY_POLL_BUDGET"),
    (SOL_SOCKET, 74, "SO_TXREHASH"),
    (SOL_SOCKET, 75, "SO_RCVMARK"),
    (SOL_SOCKET, 76, "SO_PASSPIDFD"),
    (SOL_SOCKET, 82, "SO_RCVPRIORITY"),
    (SOL_SOCKET, 83, "SO_PASSRIGHTS"),
    (SOL_SOCKET, 84, "SO_INQ"),
    (SOL_SOCKET, 85, "SO_RIGHTS_NOTRUNC"),
    (SOL_IP, 1, "IP_TOS"),
    (SOL_IP, 2, "IP_TTL"),
    (SOL_IP, 6, "IP_RECVOPTS"),
    (SOL_IP, 7, "IP_RETOPTS"),
    (SOL_IP, 8, "IP_PKTINFO"),
    (SOL_IP, 10, "IP_MTU_DISCOVER"),
    (SOL_IP, 11, "IP_RECVERR"),
    (SOL_IP, 12, "IP_RECVTTL"),
    (SOL_IP, 13, "IP_RECVTOS"),
    (SOL_IP, 15, "IP_FREEBIND"),
    (SOL_IP, 18, "IP_PASSSEC"),
    (SOL_IP, 19, "IP_TRANSPARENT"),
    (SOL_IP, 20, "IP_RECVORIGDSTADDR"),
    (SOL_IP, 21, "IP_MINTTL"),
    (SOL_IP, 23, "IP_CHECKSUM"),
    (SOL_IP, 24, "IP_BIND_ADDRESS_NO_PORT"),
    (SOL_IP, 25, "IP_RECVFRAGSIZE"),
    (SOL_IP, 26, "IP_RECVERR_RFC4884"),
    (SOL_IP, 32, "IP_MULTICAST_IF"),
    (SOL_IP, 33, "IP_MULTICAST_TTL"),
    (SOL_IP, 34, "IP_MULTICAST_LOOP"),
    (SOL_IP, 49, "IP_MULTICAST_ALL"),
    (SOL_IP, 50, "IP_UNICAST_IF"),
    (SOL_IP, 51, "IP_LOCAL_PORT_RANGE"),
    (SOL_SOCKET, 12, "SO_PRIORITY"),
    (SOL_IPV6, 2, "IPV6_2292PKTINFO"),
    (SOL_IPV6, 3, "IPV6_2292HOPOPTS"),
    (SOL_IPV6, 4, "IPV6_2292DSTOPTS"),
    (SOL_IPV6, 5, "IPV6_2292RTHDR"),
    (SOL_IPV6, 8, "IPV6_2292HOPLIMIT"),
    (SOL_IPV6, 11, "IPV6_FLOWINFO"),
    (SOL_IPV6, 16, "IPV6_UNICAST_HOPS"),
    (SOL_IPV6, 17, "IPV6_MULTICAST_IF"),
    (SOL_IPV6, 18, "IPV6_MULTICAST_HOPS"),
    (SOL_IPV6, 19, "IPV6_MULTICAST_LOOP"),
    (SOL_IPV6, 23, "IPV6_MTU_DISCOVER"),
    (SOL_IPV6, 24, "IPV6_MTU"),
    (SOL_IPV6, 25, "IPV6_RECVERR"),
    (SOL_IPV6, 26, "IPV6_V6ONLY"),
    (SOL_IPV6, 29, "IPV6_MULTICAST_ALL"),
    (SOL_IPV6, 30, "IPV6_ROUTER_ALERT_ISOLATE"),
    (SOL_IPV6, 31, "IPV6_RECVERR_RFC4884"),
    (SOL_IPV6, 33, "IPV6_FLOWINFO_SEND"),
    (SOL_IPV6, 49, "IPV6_RECVPKTINFO"),
    (SOL_IPV6, 51, "IPV6_RECVHOPLIMIT"),
    (SOL_IPV6, 53, "IPV6_RECVHOPOPTS"),
    (SOL_IPV6, 56, "IPV6_RECVRTHDR"),
    (SOL_IPV6, 58, "IPV6_RECVDSTOPTS"),
    (SOL_IPV6, 60, "IPV6_RECVPATHMTU"),
    (SOL_IPV6, 62, "IPV6_DONTFRAG"),
    (SOL_IPV6, 66, "IPV6_RECVTCLASS"),
    (SOL_IPV6, 67, "IPV6_TCLASS"),
    (SOL_IPV6, 70, "IPV6_AUTOFLOWLABEL"),
    (SOL_IPV6, 72, "IPV6_ADDR_PREFERENCES"),
    (SOL_IPV6, 73, "IPV6_MINHOPCOUNT"),
    (SOL_IPV6, 74, "IPV6_RECVORIGDSTADDR"),
    (SOL_IPV6, 76, "IPV6_UNICAST_IF"),
    (SOL_IPV6, 77, "IPV6_RECVFRAGSIZE"),
    (SOL_TCP, 1, "TCP_NODELAY"),
    (SOL_TCP, 2, "TCP_MAXSEG"),
    (SOL_TCP, 3, "TCP_CORK"),
    (SOL_TCP, 4, "TCP_KEEPIDLE"),
    (SOL_TCP, 5, "TCP_KEEPINTVL"),
    (SOL_TCP, 6, "TCP_KEEPCNT"),
    (SOL_TCP, 7, "TCP_SYNCNT"),
    (SOL_TCP, 8, "TCP_LINGER2"),
    (SOL_TCP, 9, "TCP_DEFER_ACCEPT"),
    (SOL_TCP, 10, "TCP_WINDOW_CLAMP"),
    (SOL_TCP, 12, "TCP_QUICKACK"),
    (SOL_TCP, 13, "TCP_CONGESTION"),
    (SOL_TCP, 16, "TCP_THIN_LINEAR_TIMEOUTS"),
    (SOL_TCP, 18, "TCP_USER_TIMEOUT"),
    (SOL_TCP, 23, "TCP_FASTOPEN"),
    (SOL_TCP, 25, "TCP_NOTSENT_LOWAT"),
    (SOL_TCP, 27, "TCP_SAVE_SYN"),
    (SOL_TCP, 30, "TCP_FASTOPEN_CONNECT"),
    (SOL_TCP, 34, "TCP_FASTOPEN_NO_COOKIE"),
    (SOL_TCP, 36, "TCP_INQ"),
    (SOL_TCP, 37, "TCP_TX_DELAY"),
    (SOL_TCP, 44, "TCP_RTO_MAX_MS"),
    (SOL_TCP, 45, "TCP_RTO_MIN_US"),
    (SOL_TCP, 46, "TCP_DELACK_MAX_US"),
    (SOL_UDP, 1, "UDP_CORK"),
    (SOL_UDP, 101, "UDP_NO_CHECK6_TX"),
    (SOL_UDP, 102, "UDP_NO_CHECK6_RX"),
    (SOL_UDP, 103, "UDP_SEGMENT"),
    (SOL_UDP, 104, "UDP_GRO"),
];
