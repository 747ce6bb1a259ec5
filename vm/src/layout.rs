//! Which file is where in the build folder.

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use clap::ValueEnum;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The build folder, for one architecture and one kernel.
pub struct Layout {
    build: PathBuf,
    pub arch: String,
    pub variant: Variant,
}

/// Which kernel it is. All else is shared.
#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Variant {
    /// The ordinary one.
    #[default]
    Plain,
    /// With all that finds mistakes, of `config/debug.config`.
    Debug,
    /// Without the subsystem, of `config/without.config`.
    Without,
}

impl Variant {
    /// Megabytes of memory that it needs for the tests.
    pub fn memory(self) -> u32 {
        match self {
            Variant::Plain | Variant::Without => 2048,
            Variant::Debug => 4096,
        }
    }

    /// How many times slower it is, at most.
    pub fn slowness(self) -> u32 {
        match self {
            Variant::Plain | Variant::Without => 1,
            Variant::Debug => 5,
        }
    }

    /// What it needs of the kernel's command line.
    pub fn arguments(self) -> &'static str {
        match self {
            Variant::Plain | Variant::Without => "",
            Variant::Debug => {
                "panic_on_warn=1 page_poison=1 sysctl.kernel.hung_task_timeout_secs=300"
            }
        }
    }
}

impl Layout {
    pub fn new(build: PathBuf, arch: String, variant: Variant) -> Result<Layout> {
        let build = build
            .canonicalize()
            .with_context(|| format!("no build folder {}; run make first", build.display()))?;
        Ok(Layout {
            build,
            arch,
            variant,
        })
    }

    /// The same for another kernel.
    pub fn with(&self, variant: Variant) -> Layout {
        Layout {
            build: self.build.clone(),
            arch: self.arch.clone(),
            variant,
        }
    }

    /// The kernel, which must have been built.
    pub fn kernel(&self) -> Result<PathBuf> {
        match self.variant {
            Variant::Plain => self.built("kernel/vmlinux", "make kernel"),
            Variant::Debug => self.built("kernel-debug/vmlinux", "make kernel VARIANT=debug"),
            Variant::Without => self.built("kernel-without/vmlinux", "make kernel VARIANT=without"),
        }
    }

    /// The kernel for a boot loader.
    pub fn boot_image(&self) -> Result<PathBuf> {
        let name = match self.variant {
            Variant::Plain => "kernel/arch/x86/boot/bzImage",
            _ => bail!("only the ordinary kernel has an image for a boot loader"),
        };
        self.built(name, "make bochs")
    }

    /// The root of a file system that has Bochs.
    pub fn bochs(&self) -> Result<PathBuf> {
        let path = self.build.join("bochs");
        ensure!(path.exists(), "Bochs is missing; run: make bochs");
        Ok(path)
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
