// SPDX-License-Identifier: GPL-2.0

//! How a command ends: the classes of failure and their exit codes.

use std::fmt;
use std::process::ExitCode;

use crate::image;

/// What kind of failure it is, which is all that an exit code can say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    /// Anything else.
    Failure,
    /// The command line is wrong.
    Usage,
    /// The kernel cannot save or restore this exactly, and so does not.
    Refused,
    /// The image is damaged, or records a failed checkpoint.
    BadImage,
    /// The command of `nsexec` cannot be executed.
    NotExecutable,
    /// The command of `nsexec` is not there.
    NotFound,
}

/// Whether exit codes are all the command's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Codes {
    /// Yes: 1 to 4.
    Own,
    /// No, those of another process are passed on: 125 to 127, as env(1) and timeout(1) do.
    Passed,
}

impl Class {
    /// The exit code.
    pub fn code(self, codes: Codes) -> u8 {
        match (codes, self) {
            (Codes::Own, Class::Usage) => 2,
            (Codes::Own, Class::Refused) => 3,
            (Codes::Own, Class::BadImage) => 4,
            (Codes::Own, _) => 1,
            (Codes::Passed, Class::Failure | Class::Usage) => 125,
            (Codes::Passed, Class::Refused | Class::NotExecutable) => 126,
            (Codes::Passed, Class::BadImage | Class::NotFound) => 127,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Error {
    /// The kind of failure.
    pub class: Class,
    /// What to say.
    pub cause: anyhow::Error,
}

impl Error {
    /// A failure of a class.
    pub fn new(class: Class, cause: impl Into<anyhow::Error>) -> Error {
        Error {
            class,
            cause: cause.into(),
        }
    }

    /// A wrong command line.
    pub fn usage(message: impl fmt::Display) -> Error {
        Error::new(Class::Usage, anyhow::anyhow!("{message}"))
    }

    /// Says what was being done.
    pub fn context(self, message: String) -> Error {
        Error {
            cause: self.cause.context(message),
            ..self
        }
    }

    /// Prints it, a line for each line of the message.
    pub fn print(&self) {
        for line in format!("{:#}", self.cause).lines() {
            eprintln!("cr: {line}");
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Error {
        Error::new(Class::Failure, cause)
    }
}

impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Error {
        Error::new(Class::Failure, cause)
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(cause: rustix::io::Errno) -> Error {
        Error::new(Class::Failure, cause)
    }
}

impl From<image::Error> for Error {
    fn from(error: image::Error) -> Error {
        match error {
            image::Error::Bad(_) => Error::new(Class::BadImage, error),
            image::Error::Io(_) => Error::new(Class::Failure, error),
        }
    }
}

impl From<image::Problem> for Error {
    fn from(problem: image::Problem) -> Error {
        image::Error::Bad(problem).into()
    }
}

/// How a command ends.
pub type Result<T = ExitCode> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_documented() {
        let all = [
            Class::Failure,
            Class::Usage,
            Class::Refused,
            Class::BadImage,
        ];
        assert_eq!(all.map(|class| class.code(Codes::Own)), [1, 2, 3, 4]);
        let passed = all.map(|class| class.code(Codes::Passed));
        assert_eq!(passed, [125, 125, 126, 127]);
    }
}
