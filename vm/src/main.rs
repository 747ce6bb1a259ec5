//! Runs commands, tests and the demonstration in a virtual machine.
//!
//! - `layout`: which file is where in the build folder.
//! - `disk`: the file systems that the machine gets.
//! - `machine`: QEMU, its console, and the conversation with the guest.
//! - `session`: one command for a person: `vm run` and `vm shell`.
//! - `demo`: the demonstration.
//! - `bench`: the benchmark.
//! - `idle`: the same of a kernel with and without the subsystem.
//! - `suite`: `vm test`, with `ktap`, `kernel_log` and `report`.

mod bench;
mod console;
mod demo;
mod disk;
mod idle;
mod kernel_log;
mod ktap;
mod layout;
mod machine;
mod report;
mod session;
mod suite;

use clap::Parser;
use clap::Subcommand;
use layout::Layout;
use layout::Variant;
use std::path::PathBuf;
use std::process::ExitCode;

/// The test machine: QEMU with the patched kernel and a small Debian.
///
/// The root disk is as new at every boot. Of what a command writes, /out comes
/// back to build/vm/out.
#[derive(Parser)]
#[command(max_term_width = 80)]
struct Arguments {
    /// The build folder.
    #[arg(long, env = "O", default_value = "build")]
    build: PathBuf,

    /// The architecture of the machine.
    #[arg(long, env = "ARCH", default_value = "x86_64")]
    arch: String,

    /// Which kernel to boot.
    #[arg(long, env = "VARIANT", value_enum, default_value_t)]
    variant: Variant,

    #[command(flatten)]
    hardware: machine::Hardware,

    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a shell command as root and exit with its status.
    Run(session::Run),
    /// Open a shell.
    Shell(session::Shell),
    /// Checkpoint real programs, reboot the machine, and restart them.
    Demo(demo::Demo),
    /// Measure checkpoint and restart side by side with CRIU.
    Bench(bench::Bench),
    /// Measure what the subsystem costs those who do not use it.
    Idle,
    /// Run all tests; the last line counts them.
    Test(suite::Test),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result =
        Layout::new(arguments.build, arguments.arch, arguments.variant).and_then(|layout| {
            let hardware = &arguments.hardware;
            match arguments.action {
                Action::Run(run) => run.perform(&layout, hardware),
                Action::Shell(shell) => shell.perform(&layout, hardware),
                Action::Demo(demo) => demo.perform(&layout, hardware),
                Action::Bench(bench) => bench.perform(&layout, hardware),
                Action::Idle => idle::perform(&layout, hardware),
                Action::Test(test) => test.perform(&layout, hardware),
            }
        });
    result.unwrap_or_else(|error| {
        eprintln!("vm: {error:#}");
        ExitCode::FAILURE
    })
}
