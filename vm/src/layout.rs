//! Which file is where in the build folder.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The build folder, for one architecture.
pub struct Layout {
    build: PathBuf,
    pub arch: String,
}

impl Layout {
    pub fn new(build: PathBuf, arch: String) -> Result<Layout> {
        let build = build
            .canonicalize()
            .with_context(|| format!("no build folder {}; run make first", build.display()))?;
        Ok(Layout { build, arch })
    }

    /// The kernel, which must have been built.
    pub fn kernel(&self) -> Result<PathBuf> {
        self.built("kernel/vmlinux", "make kernel")
    }

    pub fn root_disk(&self) -> Result<PathBuf> {
        self.built("rootfs.ext4", "make rootdisk")
    }

    /// The first process of the guest.
    pub fn guest(&self) -> Result<PathBuf> {
        self.built("vm-guest", "make tools")
    }

    /// The user tools; empty until they are built.
    pub fn tools(&self) -> PathBuf {
        self.build.join(&self.arch).join("bin")
    }

    /// The selftests; empty until they are built.
    pub fn selftests(&self) -> PathBuf {
        self.build.join(&self.arch).join("selftests")
    }

    /// What machines leave behind: consoles, `/out`, the disk of the demo.
    pub fn vm(&self) -> Result<PathBuf> {
        let path = self.build.join("vm");
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Where the benchmark leaves its results.
    pub fn bench(&self) -> Result<PathBuf> {
        let path = self.build.join("bench");
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A new folder for one machine, removed with the value.
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.vm()?.join(format!("run.{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Scratch(path))
    }

    fn built(&self, name: &str, remedy: &str) -> Result<PathBuf> {
        let path = self.build.join(&self.arch).join(name);
        ensure!(
            path.exists(),
            "{} is missing; run: {remedy}",
            path.display()
        );
        Ok(path)
    }
}

/// A folder that goes away.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
