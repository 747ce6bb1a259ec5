// SPDX-License-Identifier: GPL-2.0

//! Work that other processors may do.
//!
//! C source: [`kernel/checkpoint/work.c`](srctree/kernel/checkpoint/work.c)

use kernel::bindings;
use kernel::impl_has_work;
use kernel::new_work;
use kernel::prelude::*;
use kernel::workqueue::RawWorkItem;
use kernel::workqueue::Work;
use kernel::workqueue::WorkItem;

/// Something that is done once.
#[pin_data]
struct Once<T> {
    #[pin]
    work: Work<Once<T>>,
    func: Option<T>,
}

impl_has_work! {
    impl{T} HasWork<Self> for Once<T> { self.work }
}

impl<T: FnOnce()> WorkItem for Once<T> {
    type Pointer = Pin<KBox<Self>>;

    fn run(mut this: Pin<KBox<Self>>) {
        if let Some(func) = this.as_mut().project().func.take() {
            func();
        }
    }
}

/// Has something done by a processor that has nothing to do. Gives whether there is one.
pub(crate) fn ask_idle<T: FnOnce() + Send + 'static>(func: T) -> Result<bool> {
    // SAFETY: The function has no preconditions.
    let cpu = unsafe { bindings::checkpoint_idle_cpu() };

    if cpu < 0 {
        return Ok(false);
    }
    let once = KBox::pin_init(
        pin_init!(Once {
            work <- new_work!("checkpoint"),
            func: Some(func),
        }),
        GFP_KERNEL,
    )?;

    // SAFETY: The workqueue is there if a processor was found. What is in `func` lives as long as it
    // has to (`'static`), and may be used by another task (`Send`).
    unsafe {
        once.__enqueue(|work| bindings::queue_work_on(cpu, bindings::checkpoint_workqueue, work));
    }
    Ok(true)
}
