// SPDX-License-Identifier: GPL-2.0

//! Jobs that other processors do while more are made.

use crate::error::Result;
use crate::sys;
use core::mem;
use kernel::prelude::*;
use kernel::sync::new_condvar;
use kernel::sync::new_mutex;
use kernel::sync::Arc;
use kernel::sync::CondVar;
use kernel::sync::Mutex;

/// Something to do.
pub(super) trait Job: Sized + Send + 'static {
    /// Does it. Who may not wait gives back what is left to do.
    fn work(self, may_wait: bool) -> Option<Self>;
}

struct State<J> {
    /// In the order in which they were made.
    waiting: KVec<J>,
    /// What those could not do who may not wait. There is room for all that are not done.
    left: KVec<J>,
    /// How many are being done just now.
    in_work: usize,
}

#[pin_data]
struct Shared<J> {
    #[pin]
    state: Mutex<State<J>>,
    /// Told when nothing is in work.
    #[pin]
    idle: CondVar,
}

impl<J: Job> Shared<J> {
    /// Lets a job wait. Gives how many do.
    fn push(&self, job: J) -> Result<usize> {
        let state = &mut *self.state.lock();
        let others = state.waiting.len().saturating_add(state.in_work);

        state.left.reserve(others.saturating_add(1), GFP_KERNEL)?;
        state.waiting.push(job, GFP_KERNEL)?;
        Ok(state.waiting.len())
    }

    fn take(&self, may_wait: bool) -> Option<J> {
        let mut state = self.state.lock();
        let left = if may_wait {
            state.left.remove(0).ok()
        } else {
            None
        };
        let next = left.or_else(|| state.waiting.remove(0).ok())?;

        state.in_work = state.in_work.saturating_add(1);
        Some(next)
    }

    /// Does a job, if there is one. Gives whether.
    fn work(&self, may_wait: bool) -> bool {
        let Some(job) = self.take(may_wait) else {
            return false;
        };

        // What the job has is let go before somebody goes on.
        let left = job.work(may_wait);
        let mut state = self.state.lock();

        if let Some(job) = left {
            let _ = state.left.push_within_capacity(job);
        }
        state.in_work = state.in_work.saturating_sub(1);
        if state.in_work == 0 {
            self.idle.notify_all();
        }
        true
    }

    fn has_left(&self) -> bool {
        !self.state.lock().left.is_empty()
    }

    /// Waits until nothing is in work, which takes no longer than a job that does not wait.
    fn wait(&self) {
        let mut state = self.state.lock();

        while state.in_work != 0 {
            self.idle.wait(&mut state);
        }
    }
}

/// Who has jobs done. What has not been done when this is dropped never is.
pub(super) struct Crew<J: Job> {
    shared: Arc<Shared<J>>,
    limit: usize,
}

impl<J: Job> Crew<J> {
    /// Nothing to do yet. So many jobs wait at most.
    pub(super) fn new(limit: usize) -> Result<Self> {
        let shared = Arc::pin_init(
            pin_init!(Shared {
                state <- new_mutex!(State {
                    waiting: KVec::new(),
                    left: KVec::new(),
                    in_work: 0,
                }),
                idle <- new_condvar!(),
            }),
            GFP_KERNEL,
        )?;

        Ok(Self { shared, limit })
    }

    /// Lets others do a job, and does one if too many wait, or if one takes waiting.
    pub(super) fn submit(&self, job: J) -> Result {
        let waiting = self.shared.push(job)?;

        self.ask();
        if waiting > self.limit || self.shared.has_left() {
            self.shared.work(true);
        }
        Ok(())
    }

    /// Asks a processor for help, if one has time. Without any it is done here.
    fn ask(&self) {
        let shared = self.shared.clone();

        let _ = sys::work::ask_idle(move || while shared.work(false) {});
    }

    /// Returns when all is done.
    pub(super) fn finish(&self) {
        loop {
            while self.shared.work(true) {
                self.ask();
            }
            self.shared.wait();
            if !self.shared.has_left() {
                return;
            }
        }
    }
}

impl<J: Job> Drop for Crew<J> {
    fn drop(&mut self) {
        let (waiting, left) = {
            let mut state = self.shared.state.lock();

            (mem::take(&mut state.waiting), mem::take(&mut state.left))
        };

        // Nobody has pages of what has failed.
        drop((waiting, left));
        self.shared.wait();
    }
}
