// SPDX-License-Identifier: GPL-2.0
/*
 * Pipes, event counters, epoll sets and terminals, for fs/checkpoint/.
 */

#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pipe_fs_i.h>

/* What fcntl(F_SETFL) leaves behind, for flags that need no check. */
__rust_helper void rust_helper_checkpoint_set_flags(struct file *file,
						    unsigned int flags)
{
	const unsigned int mask = O_APPEND | O_NONBLOCK | O_DIRECT;

	spin_lock(&file->f_lock);
	file->f_flags = (flags & mask) | (file->f_flags & ~mask);
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

/* Whether the pipe has a name in a file system. */
__rust_helper bool rust_helper_checkpoint_is_fifo(struct file *file)
{
	return file_inode(file)->i_sb->s_magic != PIPEFS_MAGIC;
}

/* Whether a reader of a fifo has seen no writer yet; see pipe_poll(). */
__rust_helper bool rust_helper_checkpoint_fifo_unseen(struct file *file)
{
	struct pipe_inode_info *pipe = file->private_data;

	return rust_helper_checkpoint_is_fifo(file) &&
	       file->f_pipe == pipe->w_counter;
}

__rust_helper void rust_helper_checkpoint_fifo_set_unseen(struct file *file)
{
	struct pipe_inode_info *pipe = file->private_data;

	file->f_pipe = pipe->w_counter;
}

__rust_helper int rust_helper_checkpoint_pipe_lock(struct pipe_inode_info *pipe)
{
	return mutex_lock_killable(&pipe->mutex);
}

__rust_helper void rust_helper_checkpoint_pipe_unlock(struct pipe_inode_info *pipe)
{
	mutex_unlock(&pipe->mutex);
}

__rust_helper bool
rust_helper_checkpoint_pipe_has_watch_queue(struct pipe_inode_info *pipe)
{
	return pipe_has_watch_queue(pipe);
}

/* The buffer that is @nr places behind the next one to be read, or NULL. */
__rust_helper struct pipe_buffer *
rust_helper_checkpoint_pipe_buf(struct pipe_inode_info *pipe, unsigned int nr)
{
	return nr < pipe_buf_usage(pipe) ? pipe_buf(pipe, pipe->tail + nr) : NULL;
}

/* Copies what is in a buffer. The pages of a spliced one may be a folio. */
__rust_helper void
rust_helper_checkpoint_pipe_buf_copy(const struct pipe_buffer *buf, void *to)
{
	size_t offset = buf->offset, left = buf->len;

	while (left) {
		size_t n = min(left, PAGE_SIZE - offset_in_page(offset));

		memcpy_from_page(to, buf->page + (offset >> PAGE_SHIFT),
				 offset_in_page(offset), n);
		to += n;
		offset += n;
		left -= n;
	}
}

/* Appends a buffer, as a write does that merges with nothing. */
__rust_helper int
rust_helper_checkpoint_pipe_push(struct pipe_inode_info *pipe, const void *data,
				 unsigned int len, unsigned int flags)
{
	struct page *page;

	if (pipe_is_full(pipe))
		return -ENOSPC;
	page = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_COMP | __GFP_NOWARN,
			   get_order(len));
	if (!page)
		return -ENOMEM;
	memcpy(page_address(page), data, len);
	*pipe_head_buf(pipe) = (struct pipe_buffer) {
		.page = page,
		.len = len,
		.ops = &nosteal_pipe_buf_ops,
		.flags = flags,
	};
	pipe->head++;
	return 0;
}

/* The state goes by pointer: 64 bits by value are not safe on 32-bit machines. */
__rust_helper int
rust_helper_checkpoint_do_eventfd(const struct checkpoint_eventfd *state, int flags)
{
	return do_eventfd(state->count, state->flags | flags);
}

#include <linux/devpts_fs.h>
#include <linux/major.h>
#include <linux/tty.h>
#include <linux/tty_flip.h>
#include <linux/tty_ldisc.h>
#include "../../drivers/tty/tty.h"

__rust_helper struct tty_struct *
rust_helper_checkpoint_tty_get(struct tty_struct *tty)
{
	return tty_kref_get(tty);
}

/* The terminal that a file is an end of, with a reference, or NULL. */
__rust_helper struct tty_struct *rust_helper_checkpoint_file_tty(struct file *file)
{
	struct tty_file_private *priv = file->private_data;

	return file->f_op->release == tty_release ? tty_kref_get(priv->tty) : NULL;
}

/* The controlling terminal of a process, with a reference, or NULL. */
__rust_helper struct tty_struct *
rust_helper_checkpoint_task_tty(struct task_struct *task)
{
	struct tty_struct *tty;
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return NULL;
	tty = tty_kref_get(task->signal->tty);
	unlock_task_sighand(task, &flags);
	return tty;
}

/* Whether the terminal is an end of a pair below /dev/pts; its driver's subtype or 0. */
__rust_helper unsigned int
rust_helper_checkpoint_pty_end(const struct tty_struct *tty)
{
	const struct tty_driver *driver = tty->driver;

	if (driver->type == TTY_DRIVER_TYPE_PTY &&
	    (driver->major == UNIX98_PTY_MASTER_MAJOR ||
	     driver->major == UNIX98_PTY_SLAVE_MAJOR))
		return driver->subtype;
	return 0;
}

/* The open file of a master, with a reference, or NULL if it is closed. */
__rust_helper struct file *
rust_helper_checkpoint_pty_file(struct tty_struct *master)
{
	struct tty_file_private *priv;

	guard(spinlock)(&master->files_lock);
	priv = list_first_entry_or_null(&master->tty_files,
					struct tty_file_private, list);
	return priv && file_ref_get(&priv->file->f_ref) ? priv->file : NULL;
}

/* Where the slave of a master is, with references; see ptm_open_peer_file(). */
__rust_helper int rust_helper_checkpoint_pts_path(struct file *master,
						  struct path *path)
{
	struct tty_file_private *priv = master->private_data;
	struct vfsmount *mnt = devpts_mntget(master, priv->tty->driver_data);

	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	path->mnt = mnt;
	path->dentry = dget(priv->tty->link->driver_data);
	return 0;
}

__rust_helper bool
rust_helper_checkpoint_has_locked_termios(const struct tty_struct *tty)
{
	return memchr_inv(&tty->termios_locked, 0, sizeof(tty->termios_locked));
}

__rust_helper void rust_helper_checkpoint_tty_set_flag(struct tty_struct *tty,
						       unsigned int bit, bool on)
{
	assign_bit(bit, &tty->flags, on);
}

__rust_helper void
rust_helper_checkpoint_tty_set_winsize(struct tty_struct *tty,
				       const struct winsize *winsize)
{
	guard(mutex)(&tty->winsize_mutex);
	tty->winsize = *winsize;
	tty->link->winsize = *winsize;
}

__rust_helper void rust_helper_checkpoint_tty_set_flow(struct tty_struct *tty,
						       bool stopped, bool tco_stopped)
{
	guard(spinlock_irq)(&tty->flow.lock);
	tty->flow.stopped = stopped;
	tty->flow.tco_stopped = tco_stopped;
}

/* Packet mode is of the master, what it is told next is kept by the slave. */
__rust_helper void rust_helper_checkpoint_pty_set_packet(struct tty_struct *master,
							 bool packet, u8 status)
{
	spin_lock_irq(&master->link->ctrl.lock);
	master->link->ctrl.pktstatus = status;
	spin_unlock_irq(&master->link->ctrl.lock);
	spin_lock_irq(&master->ctrl.lock);
	master->ctrl.packet = packet;
	spin_unlock_irq(&master->ctrl.lock);
}

/* The session of a terminal and its foreground process group, if it lives. */
__rust_helper void rust_helper_checkpoint_tty_session(struct tty_struct *tty,
						      struct pid_namespace *ns,
						      pid_t *session,
						      pid_t *foreground)
{
	struct pid *pgrp;

	guard(spinlock_irq)(&tty->ctrl.lock);
	pgrp = tty->ctrl.pgrp;
	*session = pid_nr_ns(tty->ctrl.session, ns);
	*foreground = pgrp && pid_has_task(pgrp, PIDTYPE_PGID) ?
		      pid_nr_ns(pgrp, ns) : 0;
}

/* Whether there is such a group, and all of it belongs to the session. */
static inline bool checkpoint_group_is_of(struct pid *pgrp, struct pid *session)
{
	struct task_struct *p;
	bool found = false;

	do_each_pid_task(pgrp, PIDTYPE_PGID, p) {
		if (task_session(p) != session)
			return false;
		found = true;
	} while_each_pid_task(pgrp, PIDTYPE_PGID, p);
	return found;
}

/*
 * Gives the running process its controlling terminal. If it leads its session,
 * the terminal becomes that of the session. The foreground must be a group of
 * it: a terminal sends signals there without asking who may.
 */
__rust_helper int rust_helper_checkpoint_set_ctty(struct tty_struct *tty,
						  pid_t foreground,
						  struct pid_namespace *ns)
{
	struct pid *session, *pgrp;
	struct tty_struct *old = NULL;
	int ret = 0;

	tty_lock(tty);
	read_lock(&tasklist_lock);
	spin_lock_irq(&current->sighand->siglock);
	session = task_session(current);
	if (session == task_tgid(current)) {
		pgrp = find_pid_ns(foreground, ns);
		if (!checkpoint_group_is_of(pgrp, session))
			pgrp = session;

		guard(spinlock)(&tty->ctrl.lock);
		if (tty->ctrl.session) {
			ret = -EPERM;
		} else if (!checkpoint_group_is_of(pgrp, session)) {
			ret = -EINVAL;
		} else {
			tty->ctrl.session = get_pid(session);
			tty->ctrl.pgrp = get_pid(pgrp);
		}
	}
	if (!ret) {
		old = current->signal->tty;
		current->signal->tty = tty_kref_get(tty);
	}
	spin_unlock_irq(&current->sighand->siglock);
	read_unlock(&tasklist_lock);
	tty_unlock(tty);
	tty_kref_put(old);
	return ret;
}

/* Permissions and owner of the name of the slave. */
__rust_helper void rust_helper_checkpoint_pts_owner(struct tty_struct *slave,
						    u32 *mode, u32 *uid, u32 *gid)
{
	struct inode *inode = d_inode(slave->driver_data);

	*mode = inode->i_mode & S_IALLUGO;
	*uid = from_kuid(current_user_ns(), inode->i_uid);
	*gid = from_kgid(current_user_ns(), inode->i_gid);
}

/*
 * Holds still what a terminal has received. Returns NULL if that is up to
 * another line discipline than N_TTY.
 */
__rust_helper struct tty_ldisc *
rust_helper_checkpoint_tty_hold(struct tty_struct *tty)
{
	struct tty_ldisc *ld;

	tty_buffer_flush_work(tty->port);
	ld = tty_ldisc_ref_wait(tty);
	if (ld && ld->ops->num != N_TTY) {
		tty_ldisc_deref(ld);
		ld = NULL;
	}
	if (ld)
		tty_buffer_lock_exclusive(tty->port);
	return ld;
}

__rust_helper void rust_helper_checkpoint_tty_unhold(struct tty_struct *tty,
						     struct tty_ldisc *ld)
{
	tty_buffer_unlock_exclusive(tty->port);
	tty_ldisc_deref(ld);
}

/* Copies the bytes that wait for the line discipline, and returns how many. */
__rust_helper int rust_helper_checkpoint_tty_raw(struct tty_struct *tty, u8 *data,
						 unsigned int max)
{
	struct tty_buffer *buf = tty->port->buf.head, *next;
	unsigned int n, len = 0;

	for (; buf; buf = next) {
		/* Pairs with the release in __tty_buffer_request_room(). */
		next = smp_load_acquire(&buf->next);
		/* Pairs with the release in tty_flip_buffer_commit(). */
		n = smp_load_acquire(&buf->commit) - buf->read;
		if (n > max - len)
			return -E2BIG;
		if (buf->flags && memchr_inv(flag_buf_ptr(buf, buf->read), TTY_NORMAL, n))
			return -EINVAL;
		memcpy(data + len, char_buf_ptr(buf, buf->read), n);
		len += n;
	}
	return len;
}

/* Gives a terminal bytes as if they came from its other end. */
__rust_helper int rust_helper_checkpoint_tty_receive(struct tty_struct *tty,
						     const u8 *data, unsigned int n)
{
	return tty_insert_flip_string_and_push_buffer(tty->port, data, n);
}
