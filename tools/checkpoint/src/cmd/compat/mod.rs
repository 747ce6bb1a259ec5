// SPDX-License-Identifier: GPL-2.0

//! `checkpoint` and `restart` with the options that they had in Linux-CR.

pub mod checkpoint;
pub mod restart;
