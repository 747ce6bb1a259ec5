/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Flags of checkpoint(2) and restart(2).
 *
 * The values of the first bits are those of Linux-CR, whose programs still
 * work. Bits are never reused; a bit that the kernel does not know is -EINVAL.
 */
#ifndef _UAPI_LINUX_CHECKPOINT_H
#define _UAPI_LINUX_CHECKPOINT_H

/* checkpoint(2) */
#define CHECKPOINT_SUBTREE	0x1	/* the root need not be a container's init */
#define CHECKPOINT_NETNS	0x2	/* save network namespaces too */
#define CHECKPOINT_KILL		0x4	/* kill the tree once it is saved */
#define CHECKPOINT_LEAVE_FROZEN	0x8	/* leave the tree frozen once it is saved */
#define CHECKPOINT_THAW		0x10	/* only let a tree run that was left frozen */
#define CHECKPOINT_STATS	0x20	/* report times and sizes on logfd */
#define CHECKPOINT_COW		0x40	/* let the tree run while its memory is written */
#define CHECKPOINT_TRACK	0x80	/* let the next one know what has changed since */
#define CHECKPOINT_INCREMENTAL	0x100	/* leave out what has not changed since */

/* restart(2) */
#define RESTART_TASKSELF	0x1	/* the caller becomes the one saved task */
#define RESTART_FROZEN		0x2	/* leave the restored tasks frozen */
#define RESTART_GHOST		0x4	/* accepted and ignored: no ghosts are needed */
#define RESTART_KEEP_LSM	0x8	/* give objects their saved security labels */
#define RESTART_CONN_RESET	0x10	/* established connections come back closed */
#define RESTART_NEW_PIDS	0x20	/* let the kernel choose the pids */
#define RESTART_LAZY		0x40	/* let memory be read when it is touched */

#endif /* _UAPI_LINUX_CHECKPOINT_H */
