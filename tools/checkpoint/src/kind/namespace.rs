// SPDX-License-Identifier: GPL-2.0

//! Records of `format/namespace.rs`.

use super::check_text;
use super::may;
use super::object;
use super::Kind;
use super::Reference;
use super::Result;
use crate::format::namespace::IpcNs;
use crate::format::namespace::Namespaces;
use crate::format::namespace::PidNs;
use crate::format::namespace::TimeNs;
use crate::format::namespace::UtsNs;
use crate::format::Record;

impl Kind for UtsNs {
    object!();

    fn check(&self) -> Result<()> {
        check_text("nodename", &self.nodename)?;
        check_text("domainname", &self.domainname)
    }
}

impl Kind for IpcNs {
    object!();
}

impl Kind for PidNs {
    object!();

    fn check(&self) -> Result<()> {
        match self.last_pid {
            1.. => Ok(()),
            pid => Err(format!("last_pid {pid} is impossible")),
        }
    }
}

impl Kind for TimeNs {
    object!();

    fn check(&self) -> Result<()> {
        if self.monotonic < 0 || self.boottime < 0 {
            return Err("a clock is negative".into());
        }
        Ok(())
    }
}

impl Kind for Namespaces {
    object!();

    fn references(&self, _tail: &[u8]) -> Vec<Reference> {
        vec![
            may("uts", self.uts, &[UtsNs::KIND]),
            may("ipc", self.ipc, &[IpcNs::KIND]),
            may("pid", self.pid, &[PidNs::KIND]),
            may("time", self.time, &[TimeNs::KIND]),
        ]
    }
}
