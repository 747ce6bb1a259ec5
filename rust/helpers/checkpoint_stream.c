// SPDX-License-Identifier: GPL-2.0

/* The file of an image, which may be open with O_DIRECT. */

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
