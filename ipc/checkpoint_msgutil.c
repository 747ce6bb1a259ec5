// SPDX-License-Identifier: GPL-2.0
/*
 * load_msg() and store_msg() for what is in kernel memory, for
 * checkpoint/restart.
 *
 * Included by msgutil.c, to which the structures are private.
 */

struct msg_msg *checkpoint_load_msg(const void *src, size_t len)
{
	struct msg_msg *msg = alloc_msg(len);
	size_t n = min(len, DATALEN_MSG);
	struct msg_msgseg *seg;
	int err;

	if (!msg)
		return ERR_PTR(-ENOMEM);
	memcpy(msg + 1, src, n);
	for (seg = msg->next; seg; seg = seg->next) {
		src += n;
		len -= n;
		n = min(len, DATALEN_SEG);
		memcpy(seg + 1, src, n);
	}
	err = security_msg_msg_alloc(msg);
	if (err) {
		free_msg(msg);
		return ERR_PTR(err);
	}
	return msg;
}

void checkpoint_store_msg(void *dest, const struct msg_msg *msg)
{
	size_t len = msg->m_ts, n = min(len, DATALEN_MSG);
	struct msg_msgseg *seg;

	memcpy(dest, msg + 1, n);
	for (seg = msg->next; seg; seg = seg->next) {
		dest += n;
		len -= n;
		n = min(len, DATALEN_SEG);
		memcpy(dest, seg + 1, n);
	}
}
