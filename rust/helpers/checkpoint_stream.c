// SPDX-License-Identifier: GPL-2.0

/* The file of an image, which may be open with O_DIRECT. */

#include <linux/cred.h>
#include <linux/shmem_fs.h>
#include <linux/uio.h>

/*
 * Only whole pages at the right place may go past the page cache (@direct); the
 * header, the metadata and the trailer go through it.
 */
__rust_helper ssize_t rust_helper_checkpoint_transfer(struct file *file,
						      struct iov_iter *iter,
						      loff_t *pos, bool direct)
{
	struct kiocb kiocb;
	ssize_t ret;

	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = pos ? *pos : 0;
	if (!direct || !PAGE_ALIGNED(kiocb.ki_pos))
		kiocb.ki_flags &= ~IOCB_DIRECT;
	if (iov_iter_rw(iter) == WRITE)
		ret = vfs_iocb_iter_write(file, &kiocb, iter);
	else
		ret = vfs_iocb_iter_read(file, &kiocb, iter);
	if (pos && ret > 0)
		*pos = kiocb.ki_pos;
	return ret;
}

/*
 * Whether a read from anywhere in it can give up instead of waiting for a disk,
 * or for somebody who is asked (fanotify).
 */
__rust_helper bool rust_helper_checkpoint_reads_cached(struct file *file)
{
	return S_ISREG(file_inode(file)->i_mode) && !(file->f_flags & O_DIRECT) &&
	       !FMODE_FSNOTIFY_ACCESS_PERM(file->f_mode) &&
	       !FMODE_FSNOTIFY_HSM(file->f_mode) &&
	       (file->f_mode & FMODE_NOWAIT || shmem_mapping(file->f_mapping));
}

/*
 * Reads at a position. Who must not wait (@cached) does so with the rights of
 * who has opened the file, and gets -EAGAIN for what is not in memory.
 */
__rust_helper ssize_t rust_helper_checkpoint_read_at(struct file *file,
						     struct iov_iter *iter,
						     loff_t pos, bool cached)
{
	const struct cred *old;
	struct kiocb kiocb;
	ssize_t ret;

	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = pos;
	/* Others may set it meanwhile. */
	kiocb.ki_flags &= ~IOCB_DIRECT;
	if (!cached)
		return vfs_iocb_iter_read(file, &kiocb, iter);
	kiocb.ki_flags |= IOCB_NOWAIT | IOCB_NOIO;
	old = override_creds(file->f_cred);
	ret = vfs_iocb_iter_read(file, &kiocb, iter);
	revert_creds(old);
	return ret;
}
