// SPDX-License-Identifier: GPL-2.0
/*
 * The system calls checkpoint() and restart(). All of the work is in Rust.
 */
#include <linux/syscalls.h>

#include "checkpoint.h"

/**
 * sys_checkpoint - save a tree of processes
 * @pid: the root of the tree, in the caller's pid namespace; 0 is the caller
 * @fd: where the image is written to
 * @flags: CHECKPOINT_*
 * @logfd: where messages are written to, or -1
 *
 * Return: the number of the checkpoint (positive), 0 in the restarted copy of
 * a task that checkpointed itself, or a negative errno.
 */
SYSCALL_DEFINE4(checkpoint, pid_t, pid, int, fd, unsigned long, flags, int, logfd)
{
	return checkpoint_do_checkpoint(pid, fd, flags, logfd);
}

/**
 * sys_restart - bring a tree of processes back
 * @pid: 0
 * @fd: where the image is read from
 * @flags: RESTART_*
 * @logfd: where messages are written to, or -1
 *
 * Return: the pid of the root, which is now a child of the caller, or a
 * negative errno; with RESTART_TASKSELF what the saved task gets.
 */
SYSCALL_DEFINE4(restart, pid_t, pid, int, fd, unsigned long, flags, int, logfd)
{
	return checkpoint_do_restart(pid, fd, flags, logfd);
}
