// SPDX-License-Identifier: GPL-2.0

//! Framing of records, and the macro that declares one.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Records and their padding are multiples of this many bytes.
pub const RECORD_ALIGN: usize = 8;

/// The number of an object in the image; 0 stands for "none".
#[derive(
    zerocopy_derive::FromBytes,
    zerocopy_derive::IntoBytes,
    zerocopy_derive::Immutable,
    zerocopy_derive::KnownLayout,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
#[repr(transparent)]
pub struct ObjRef(pub u32);

impl ObjRef {
    /// No object.
    pub const NONE: ObjRef = ObjRef(0);

    /// Whether this names no object.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What stands before every record.
#[derive(
    zerocopy_derive::FromBytes,
    zerocopy_derive::IntoBytes,
    zerocopy_derive::Immutable,
    zerocopy_derive::KnownLayout,
    Clone,
    Copy,
    Debug,
)]
#[repr(C)]
pub struct RecordHeader {
    /// [`Record::KIND`].
    pub kind: u16,
    /// [`Record::VERSION`].
    pub version: u16,
    /// Bytes of the fixed part and the tail, without this header and without the padding.
    pub len: u32,
    /// The object that the record defines, or [`ObjRef::NONE`].
    pub object: ObjRef,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<RecordHeader>() == 16);

/// The fixed part of a kind of record.
pub trait Record: FromBytes + IntoBytes + Immutable + KnownLayout + Sized {
    /// The number of the kind, never reused.
    const KIND: u16;
    /// Changes whenever the layout of the fixed part or of the tail does.
    const VERSION: u16;
    /// The name that people see.
    const NAME: &'static str;
}

/// A value of a field, for tools that print records.
#[cfg(not(CONFIG_CHECKPOINT))]
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number that is not negative.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// The number of another object.
    Object(ObjRef),
    /// A string that fills an array up to its first zero, or raw bytes.
    Bytes(&'a [u8]),
    /// Several values.
    List(Vec<Value<'a>>),
    /// A nested structure.
    Struct(Vec<(&'static str, Value<'a>)>),
}

/// A type that can stand in a record.
#[cfg(not(CONFIG_CHECKPOINT))]
pub trait Field {
    /// The value, for printing.
    fn value(&self) -> Value<'_>;
}

/// A record or a part of one that can tell its fields.
#[cfg(not(CONFIG_CHECKPOINT))]
pub trait Describe {
    /// Every field with its name, in the order of the layout.
    fn describe(&self) -> Vec<(&'static str, Value<'_>)>;
}

#[cfg(not(CONFIG_CHECKPOINT))]
mod values {
    use super::*;

    macro_rules! unsigned {
        ($($t:ty),*) => {$(
            impl Field for $t {
                fn value(&self) -> Value<'_> {
                    Value::Unsigned(u64::from(*self))
                }
            }
        )*};
    }
    unsigned!(u16, u32, u64);

    macro_rules! signed {
        ($($t:ty),*) => {$(
            impl Field for $t {
                fn value(&self) -> Value<'_> {
                    Value::Signed(i64::from(*self))
                }
            }
        )*};
    }
    signed!(i16, i32, i64);

    impl Field for ObjRef {
        fn value(&self) -> Value<'_> {
            Value::Object(*self)
        }
    }

    impl<const N: usize> Field for [u8; N] {
        fn value(&self) -> Value<'_> {
            Value::Bytes(self)
        }
    }

    macro_rules! lists {
        ($($t:ty),*) => {$(
            impl<const N: usize> Field for [$t; N] {
                fn value(&self) -> Value<'_> {
                    Value::List(self.iter().map(Field::value).collect())
                }
            }
        )*};
    }
    lists!(u32, i32, u64, i64, [u64; 2]);
}

/// Declares the plain data of the format: its layout, its size and how tools print it.
macro_rules! plain {
    (
        $(#[$attr:meta])*
        pub struct $name:ident: size $size:literal {
            $($(#[$fattr:meta])* pub $field:ident: $ty:ty,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(
            zerocopy_derive::FromBytes,
            zerocopy_derive::IntoBytes,
            zerocopy_derive::Immutable,
            zerocopy_derive::KnownLayout,
            Clone,
            Copy,
            Debug,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$fattr])* pub $field: $ty,)*
        }

        const _: () = assert!(size_of::<$name>() == $size);

        #[cfg(not(CONFIG_CHECKPOINT))]
        impl $crate::format::Describe for $name {
            fn describe(&self) -> Vec<(&'static str, $crate::format::Value<'_>)> {
                vec![$((stringify!($field), $crate::format::Field::value(&self.$field)),)*]
            }
        }

        #[cfg(not(CONFIG_CHECKPOINT))]
        impl $crate::format::Field for $name {
            fn value(&self) -> $crate::format::Value<'_> {
                $crate::format::Value::Struct($crate::format::Describe::describe(self))
            }
        }
    };
}

/// Declares a kind of record: [`plain!`] data with its number and version.
macro_rules! record {
    (
        $(#[$attr:meta])*
        pub struct $name:ident: kind $kind:literal, version $version:literal, size $size:literal {
            $($body:tt)*
        }
    ) => {
        plain! {
            $(#[$attr])*
            pub struct $name: size $size {
                $($body)*
            }
        }

        impl $crate::format::Record for $name {
            const KIND: u16 = $kind;
            const VERSION: u16 = $version;
            const NAME: &'static str = stringify!($name);
        }
    };
}
