// SPDX-License-Identifier: GPL-2.0

//! What each kind of record may hold, one by one.
//!
//! A new kind in the format does not compile here until it has an `impl Kind`, which says what its
//! tail is, which objects it refers to and which values are possible. Rules that need more than one
//! record are in [`crate::verify`].

mod file;
mod memory;
mod namespace;
mod socket;
mod task;
mod x86;

use std::any::Any;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

use crate::format::Describe;
use crate::format::End;
use crate::format::Failure;
use crate::format::Field;
use crate::format::ObjRef;
use crate::format::Record;
use crate::format::Value;

/// Named values, in the order of the layout.
pub type Fields<'a> = Vec<(&'static str, Value<'a>)>;

/// What is wrong with a record, as a sentence without its subject.
pub type Result<T> = std::result::Result<T, String>;

/// A kind of record.
pub trait Kind: Describe + Any {
    /// Itself, for those who know the type.
    fn as_any(&self) -> &dyn Any;

    /// Whether it defines an object.
    fn defines_object(&self) -> bool;

    /// The objects that it refers to.
    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        Vec::new()
    }

    /// Takes the whole tail apart and checks its values.
    fn tail<'a>(&self, _tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(Vec::new())
    }

    /// Checks the values of the fixed part that do not depend on others.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Implements the parts of [`Kind`] that are the same for all that define an object.
macro_rules! object {
    () => {
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }

        fn defines_object(&self) -> bool {
            true
        }
    };
}

/// Implements the parts of [`Kind`] that are the same for all that define no object.
macro_rules! no_object {
    () => {
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }

        fn defines_object(&self) -> bool {
            false
        }
    };
}

use no_object;
use object;

/// That a record refers to an object.
#[derive(Debug, PartialEq)]
pub struct Reference {
    /// The field.
    pub field: &'static str,
    /// The object.
    pub to: ObjRef,
    /// What it may be.
    pub kinds: &'static [u16],
    /// Whether there must be one.
    pub required: bool,
}

/// A reference to an object that must be there.
fn must(field: &'static str, to: ObjRef, kinds: &'static [u16]) -> Reference {
    Reference {
        field,
        to,
        kinds,
        required: true,
    }
}

/// A reference to an object that may be there.
fn may(field: &'static str, to: ObjRef, kinds: &'static [u16]) -> Reference {
    Reference {
        required: false,
        ..must(field, to, kinds)
    }
}

/// The rest of a tail.
pub struct Tail<'a>(&'a [u8]);

impl<'a> Tail<'a> {
    /// The whole tail of a record.
    pub fn new(bytes: &'a [u8]) -> Tail<'a> {
        Tail(bytes)
    }

    /// The next `len` bytes, which are `what`.
    pub fn bytes(&mut self, len: usize, what: &str) -> Result<&'a [u8]> {
        if len > self.0.len() {
            return Err(format!(
                "its tail has {} bytes for {len} bytes of {what}",
                self.0.len()
            ));
        }
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(bytes)
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next `count` values of a type, which are `what`.
    pub fn list<T>(&mut self, count: u32, what: &str) -> Result<&'a [T]>
    where
        T: FromBytes + Immutable + KnownLayout + IntoBytes,
    {
        let len = (count as usize)
            .checked_mul(size_of::<T>())
            .ok_or_else(|| format!("{count} {what} are too many"))?;
        let bytes = self.bytes(len, what)?;
        <[T]>::ref_from_bytes(bytes).map_err(|_| format!("its {what} are not aligned"))
    }

    /// The next `len` bytes as a path that starts at the root.
    pub fn path(&mut self, len: u32, what: &str) -> Result<Value<'a>> {
        let path = self.text(len, what)?;
        match path {
            Value::Bytes(bytes) if bytes.starts_with(b"/") => Ok(path),
            _ => Err(format!("the {what} does not start with \"/\"")),
        }
    }

    /// The next `len` bytes as text.
    pub fn text(&mut self, len: u32, what: &str) -> Result<Value<'a>> {
        let bytes = self.bytes(len as usize, what)?;
        if bytes.contains(&0) {
            return Err(format!("the {what} has a zero byte"));
        }
        Ok(Value::Bytes(bytes))
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            n => Err(format!("its tail is {n} bytes too long")),
        }
    }
}

/// Several values, for printing.
fn list<T: Field>(values: &[T]) -> Value<'_> {
    Value::List(values.iter().map(Field::value).collect())
}

/// Checks that text is followed by zeros only.
fn check_text(field: &str, bytes: &[u8]) -> Result<()> {
    let len = bytes.iter().position(|byte| *byte == 0);
    match len {
        None => Err(format!("{field} has no end")),
        Some(len) if bytes[len..].iter().any(|byte| *byte != 0) => {
            Err(format!("{field} is not padded with zeros"))
        }
        Some(_) => Ok(()),
    }
}

/// Checks that no bit is set but those in `known`.
fn check_bits(field: &str, value: impl Into<u64>, known: impl Into<u64>) -> Result<()> {
    match value.into() & !known.into() {
        0 => Ok(()),
        bits => Err(format!("{field} has unknown bits {bits:#x}")),
    }
}

/// Checks that a number is one of a set.
fn check_one_of(field: &str, value: u32, known: &[u32]) -> Result<()> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(format!("{field} {value} is unknown"))
}

/// Checks that every field called "reserved" is zero.
pub fn check_reserved(fields: &Fields<'_>) -> Result<()> {
    for (name, value) in fields {
        if name.starts_with("reserved") && !is_zero(value) {
            return Err(format!("{name} is not zero"));
        }
        check_nested(value)?;
    }
    Ok(())
}

fn check_nested(value: &Value<'_>) -> Result<()> {
    match value {
        Value::Struct(fields) => check_reserved(fields),
        Value::List(values) => values.iter().try_for_each(check_nested),
        _ => Ok(()),
    }
}

/// Whether a value is all zeros.
pub fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Unsigned(number) => *number == 0,
        Value::Signed(number) => *number == 0,
        Value::Object(object) => object.is_none(),
        Value::Bytes(bytes) => bytes.iter().all(|byte| *byte == 0),
        Value::List(values) => values.iter().all(is_zero),
        Value::Struct(fields) => fields.iter().all(|(_, value)| is_zero(value)),
    }
}

macro_rules! define_name {
    ($($($segment:ident)::+),* $(,)?) => {
        /// The name of a kind.
        pub fn name(kind: u16) -> &'static str {
            match kind {
                $(<crate::format::$($segment)::+ as Record>::KIND => {
                    <crate::format::$($segment)::+ as Record>::NAME
                })*
                _ => "?",
            }
        }
    };
}
for_each_record!(define_name);

impl Kind for Failure {
    no_object!();

    fn tail<'a>(&self, tail: &mut Tail<'a>) -> Result<Fields<'a>> {
        Ok(vec![("log", Value::Bytes(tail.rest()))])
    }

    fn check(&self) -> Result<()> {
        match self.errno {
            1..4096 => Ok(()),
            errno => Err(format!("errno {errno} is impossible")),
        }
    }
}

impl Kind for End {
    no_object!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::zeroed;

    macro_rules! define_kinds {
        ($($($segment:ident)::+),* $(,)?) => {
            const KINDS: &[u16] = &[$(<crate::format::$($segment)::+ as Record>::KIND),*];
        };
    }
    for_each_record!(define_kinds);

    #[test]
    fn numbers_of_kinds_are_different() {
        let mut kinds = KINDS.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), KINDS.len());
    }

    /// Every kind is in an image that the selftest hostile changes on purpose, or can be in none.
    #[test]
    fn each_kind_has_a_hostile_image() {
        let test = include_str!("../../../testing/selftests/checkpoint/hostile.c");
        let numbers: Vec<u16> = test
            .split("0x")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap())
            .filter_map(|digits| u16::from_str_radix(digits, 16).ok())
            .collect();
        for kind in KINDS {
            assert!(
                numbers.contains(kind) || *kind == Failure::KIND,
                "{kind:#x} ({}) is in none",
                name(*kind)
            );
        }
    }

    #[test]
    fn a_tail_is_taken_apart() {
        let bytes = [1u64, 2, 0].map(u64::to_ne_bytes).concat();
        let words: Vec<u64> = vec![1, 2, 0];
        let mut tail = Tail::new(words.as_bytes());
        assert_eq!(tail.list::<u64>(2, "words").unwrap(), [1, 2]);
        assert_eq!(tail.end(), Err("its tail is 8 bytes too long".into()));
        assert!(tail.text(8, "name").unwrap_err().contains("zero byte"));
        assert!(tail.list::<u64>(1, "words").unwrap_err().contains("has 0"));
        assert_eq!(bytes, words.as_bytes());
        assert!(tail.list::<u64>(u32::MAX, "words").is_err());
        assert_eq!(tail.end(), Ok(()));
    }

    #[test]
    fn text_is_padded_with_zeros() {
        assert_eq!(check_text("comm", b"sh\0\0"), Ok(()));
        assert!(check_text("comm", b"sh\0x").is_err());
        assert!(check_text("comm", b"bash").is_err());
    }

    #[test]
    fn reserved_fields_are_zero() {
        let mut process: crate::format::task::Process = zeroed();
        assert_eq!(check_reserved(&process.describe()), Ok(()));
        process.reserved2 = 1;
        assert!(check_reserved(&process.describe()).is_err());
        let nested = Value::List(vec![Value::Struct(vec![("reserved", Value::Unsigned(1))])]);
        assert!(check_reserved(&vec![("fds", nested)]).is_err());
    }
}
