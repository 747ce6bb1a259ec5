// SPDX-License-Identifier: GPL-2.0

//! Records of `format/socket.rs`.

use super::check_bits;
use super::check_one_of;
use super::may;
use super::object;
use super::Fields;
use super::Kind;
use super::Reference;
use super::Result;
use super::Tail;
use crate::format::socket;
use crate::format::socket::SocketFile;
use crate::format::socket::SocketOption;
use crate::format::socket::SocketPair;
use crate::format::Record;
use crate::format::Value;
use crate::names;

/// Where the port stands in an address of IPv4 or IPv6.
const PORT: std::ops::Range<usize> = 2..4;

/// What there is of AF_UNIX, IPv4 and IPv6.
const KINDS: [u32; 3] = [
    socket::SOCK_STREAM,
    socket::SOCK_DGRAM,
    socket::SOCK_SEQPACKET,
];

impl Kind for SocketPair {
    object!();

    fn check(&self) -> Result<()> {
        check_one_of("kind", self.kind, &KINDS)
    }
}

impl Kind for SocketFile {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![may("pair", self.pair, &[SocketPair::KIND])]
    }

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        let options = tail.list::<SocketOption>(self.options, "options")?;
        let mut table = socket::OPTIONS.iter();
        let mut fields = Vec::new();

        if let (true, Some(&[high, low])) = (self.protocol != 0, self.address.get(PORT)) {
            let port = u16::from_be_bytes([high, low]);
            fields.push(("port", Value::Unsigned(port.into())));
        }
        for option in options {
            let known = table.find(|known| (known.0, known.1) == (option.level, option.name));
            let Some((_, _, name)) = known else {
                return Err(format!(
                    "option {} of level {} is not known, or not in order",
                    option.name, option.level
                ));
            };
            let value = option
                .value
                .get(..option.len as usize)
                .ok_or_else(|| format!("{name} is longer than an option can be"))?;
            let value = match <[u8; 4]>::try_from(value) {
                Ok(number) => Value::Signed(i32::from_ne_bytes(number).into()),
                Err(_) => Value::Bytes(value),
            };

            fields.push((*name, value));
        }
        if self.path != 0 {
            fields.push(("path", tail.path(self.path, "path")?));
        }
        if self.messages != 0 {
            let lens = tail.list::<u32>(self.messages, "messages")?;
            let len = lens.iter().map(|&len| len as usize).sum();

            fields.push(("sent", Value::Bytes(tail.bytes(len, "messages")?)));
        }
        Ok(fields)
    }

    fn check(&self) -> Result<()> {
        let families = [socket::AF_UNIX, socket::AF_INET, socket::AF_INET6];

        check_one_of("family", self.family, &families)?;
        check_one_of("kind", self.kind, &KINDS)?;
        check_one_of("side", self.side, &[0, 1])?;
        check_bits("flags", self.flags, names::known(names::SOCKET_FLAGS))?;
        if self.address_len as usize > self.address.len() {
            return Err("the address is longer than an address can be".into());
        }
        let is_bound = self.flags & socket::SOCKET_BOUND != 0;
        if is_bound != (self.address_len != 0) {
            return Err("it is bound and has no address, or has one and is not".into());
        }
        Ok(())
    }
}
