// SPDX-License-Identifier: GPL-2.0

//! What the command line does, on any kernel: help, exit codes, what goes where.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use cr::compose::Composer;

const CR: &str = env!("CARGO_BIN_EXE_cr");

/// Runs the binary by a name, with `input` on its standard input.
fn run_as(name: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(CR)
        .arg0(name)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn cr(args: &[&str]) -> Output {
    run_as("cr", args, b"")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file with an image.
fn image(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Whether the kernel that the tests run on has the system calls.
fn kernel_has_checkpoint() -> bool {
    !text(&cr(&["thaw", "1"]).stderr).contains("CONFIG_CHECKPOINT")
}

#[test]
fn help_teaches_with_examples() {
    for command in ["checkpoint", "restart", "show", "verify", "nsexec"] {
        let output = cr(&[command, "--help"]);
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("Examples:"), "{command}");
    }
    let output = cr(&["--help"]);
    assert!(text(&output.stdout).contains("Exit codes:"));
}

#[test]
fn wrong_command_lines_have_their_codes() {
    for args in [&[][..], &["nothing"], &["checkpoint"], &["checkpoint", "0"]] {
        assert_eq!(code(&cr(args)), 2, "{args:?}");
    }
    let both = ["checkpoint", "--kill", "--leave-frozen", "1"];
    assert_eq!(code(&cr(&both)), 2);
    let both = ["checkpoint", "--subtree", "--container", "1"];
    assert_eq!(code(&cr(&both)), 2);
    // These pass the codes of others on.
    assert_eq!(code(&cr(&["restart", "--nothing"])), 125);
    assert_eq!(code(&cr(&["nsexec"])), 125);
    assert_eq!(code(&cr(&["nsexec", "-p", "-z", "9", "true"])), 125);
}

#[test]
fn the_names_of_linux_cr_work() {
    for name in ["checkpoint", "restart", "ckptinfo", "nsexec"] {
        let output = run_as(&format!("/usr/bin/{name}"), &["--help"], b"");
        assert_eq!(code(&output), 0);
        let usage = format!("Usage: {name} ");
        assert!(text(&output.stdout).contains(&usage), "{name}");
    }
}

#[test]
fn the_options_of_linux_cr_are_known() {
    let small = Composer::small().image();
    let path = image("options.cr", &small[..100]);
    let path = path.to_str().unwrap();
    let options = [
        "-p",
        "--pids",
        "--mntns",
        "--mount-pty",
        "--signal",
        "TERM",
        "-w",
        "--show-status",
        "--copy-status",
        "-k",
        "--inspect",
        "-v",
        "-d",
        "-i",
        path,
    ];
    // The image is cut off, which is seen before anything is done.
    let output = run_as("restart", &options, b"");
    assert_eq!(code(&output), 4, "{}", text(&output.stderr));
    let options = ["-cNv", "-f", "-l", "/dev/null", "--output-fd", "77", "1"];
    let output = run_as("checkpoint", &options, b"");
    assert!(text(&output.stderr).contains("descriptor 77"));
    assert_eq!(code(&output), 1);
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let output = cr(&["checkpoint", "-o", "/dev/null", "2147483646"]);
    assert_eq!(code(&output), 1);
    let message = text(&output.stderr);
    assert!(message.contains("no such process") && message.contains("2147483646"));
}

#[test]
fn a_kernel_without_checkpoint_is_said_so() {
    if kernel_has_checkpoint() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let pid = std::process::id().to_string();
    let output = cr(&["checkpoint", "-o", path.to_str().unwrap(), &pid]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("needs CONFIG_CHECKPOINT"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let path = image("unsupported.cr", &Composer::small().image());
    let output = cr(&["restart", "-i", path.to_str().unwrap()]);
    assert_eq!(code(&output), 125);
    assert!(text(&output.stderr).contains("needs CONFIG_CHECKPOINT"));
}

#[test]
fn a_file_is_not_overwritten() {
    let path = image("there.cr", b"precious");
    let pid = std::process::id().to_string();
    let output = cr(&["checkpoint", "-o", path.to_str().unwrap(), &pid]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("--force"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn verify_says_where_an_image_is_bad() {
    let good = Composer::small().image();
    let path = image("good.cr", &good);
    let output = cr(&["verify", path.to_str().unwrap()]);
    assert_eq!(code(&output), 0);
    assert!(text(&output.stdout).starts_with("whole: 3 tasks"));
    assert_eq!(code(&run_as("cr", &["verify", "-q"], &good)), 0);

    let mut composer = Composer::new();
    let shared = composer.shared();
    composer.process(7, 0);
    composer.put(cr::compose::zeroed::<cr::format::End>(), &[], shared.mm);
    let output = run_as("cr", &["verify"], &composer.image());
    assert_eq!(code(&output), 1);
    let message = text(&output.stderr);
    assert!(message.contains("offset 0x"), "{message}");
    assert!(message.contains("(End): it has object number"), "{message}");

    let output = run_as("cr", &["verify", "--json"], &good[..300]);
    assert_eq!(code(&output), 1);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["problem"]["offset"], 300);
}

#[test]
fn show_prints_the_tree_and_every_record() {
    let good = Composer::small().image();
    let output = run_as("cr", &["show"], &good);
    assert_eq!(code(&output), 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("100 victim, threads 101"), "{shown}");
    assert!(shown.contains("path=\"/usr/bin/victim\""), "{shown}");
    let output = run_as("cr", &["show", "--json"], &good);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["header"]["machine_name"], "x86_64");
    assert_eq!(json["tasks"][1]["parent"], 100);
    let records = json["records"].as_array().unwrap();
    assert_eq!(records.last().unwrap()["kind"], "End");
    let output = run_as("ckptinfo", &["--pids-only"], &good);
    assert_eq!(text(&output.stdout), "100\n101\n102\n");
}

#[test]
fn show_goes_as_far_as_it_can() {
    let mut composer = Composer::new();
    composer.shared();
    composer.raw(&[0xff; 16]);
    let output = run_as("cr", &["show"], &composer.image());
    assert_eq!(code(&output), 4);
    assert!(text(&output.stdout).contains("/usr/bin/victim"));
    assert!(text(&output.stderr).contains("is damaged: offset"));
}

#[test]
fn a_recorded_error_is_shown() {
    let failed = Composer::failed(16, 12, "error: pid 12 (sh): file: object 7: -EBUSY\n");
    let output = run_as("ckptinfo", &["-e"], &failed.image());
    assert_eq!(code(&output), 0);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("error: pid 12 (sh): file"), "{shown}");
    assert!(shown.contains("failed at pid 12: Device or resource busy"));
    let path = image("failed.cr", &failed.image());
    let output = cr(&["restart", "-i", path.to_str().unwrap()]);
    assert_eq!(code(&output), 127);
    assert!(text(&output.stderr).contains("failed checkpoint"));
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    let mut composer = Composer::new();
    let shared = composer.shared();
    for pid in 1..5000 {
        let process = composer.process(pid, pid - 1);
        composer.task(pid, process, &shared);
    }
    let path = image("long.cr", &composer.image());
    let mut child = Command::new(CR)
        .args(["show", "--tree"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nsexec_ends_as_its_command() {
    let sh = |script: &str| cr(&["nsexec", "-c", "sh", "-c", script]);
    assert_eq!(code(&sh("exit 7")), 7);
    assert_eq!(sh("kill -KILL $$").status.signal(), Some(9));
    assert_eq!(sh("kill -TERM $$").status.signal(), Some(15));
    assert_eq!(code(&cr(&["nsexec", "-c", "/nothing"])), 127);
    assert_eq!(code(&cr(&["nsexec", "/"])), 126);
    assert_eq!(text(&sh("echo out").stdout), "out\n");
}

#[test]
fn nsexec_starts_nothing_that_it_cannot_announce() {
    let output = cr(&["nsexec", "-c", "-P", "/nowhere/pid", "echo", "started"]);
    assert_eq!(code(&output), 125);
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("/nowhere/pid"));
}

#[test]
fn nsexec_forwards_signals() {
    let script = "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done";
    let mut child = Command::new(CR)
        .args(["nsexec", "-c", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    let start = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(42));
    assert!(start.elapsed() < Duration::from_secs(30));
}
