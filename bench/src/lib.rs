//! A benchmark of checkpoint and restart, side by side with CRIU.
//!
//! - `results`: what is measured, and how the guest tells the host.
//! - `table`: medians and ratios, for a terminal.
//! - `chart`: the same as a picture.
//! - `idle`: what a kernel costs when nobody uses the subsystem.
//!
//! The programs `bench`, `makeprocs` and `idle` run in the guest.

pub mod chart;
pub mod idle;
pub mod results;
pub mod table;
