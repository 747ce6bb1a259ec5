// SPDX-License-Identifier: GPL-2.0

//! Puts processes into cgroups (version 2), and leaves them to their freezer.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::exit::Result;
use crate::kernel;

/// Moves the tree under `root` into a cgroup, which is made if it does not exist, and leaves it
/// frozen there: writing 0 to its cgroup.freeze lets it run.
pub(crate) fn hold(root: i32, cgroup: &Path) -> Result<()> {
    for pid in tree(root)? {
        admit(pid, cgroup)?;
    }
    write(cgroup, "cgroup.freeze", "1")?;
    // The cgroup holds it now.
    kernel::thaw(root)?;
    Ok(())
}

/// Moves a process into a cgroup, which is made if it does not exist.
pub(crate) fn admit(pid: i32, cgroup: &Path) -> Result<()> {
    if !cgroup.exists() {
        fs::create_dir(cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
    }
    Ok(write(cgroup, "cgroup.procs", &pid.to_string())?)
}

fn write(cgroup: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let path = cgroup.join(file);
    // A folder that is no cgroup has no such file, and must not get one.
    File::options()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {text} to {}", path.display()))
}

/// The processes of a tree that does not change.
fn tree(root: i32) -> anyhow::Result<Vec<i32>> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        let folder = format!("/proc/{pid}/task");
        let threads = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
        for thread in threads {
            let path = thread?.path().join("children");
            let children = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            all.extend(children.split_whitespace().flat_map(str::parse::<i32>));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn a_tree_has_all_descendants() {
        // Not that of this process, whose threads come and go. It ends with its input.
        let mut shell = Command::new("sh")
            .args(["-c", "(cat; :); :"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let found = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            tree(shell.id() as i32).unwrap().len() == 3
        });
        assert!(found);
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
