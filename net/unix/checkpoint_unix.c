// SPDX-License-Identifier: GPL-2.0
/*
 * Reads sockets of AF_UNIX, and binds them to files that are there, for
 * checkpoint/restart.
 *
 * Included by af_unix.c, to which the functions are private.
 */

/* Who is seen, and with which credentials, by who connects or is connected (SO_PEERCRED). */
static bool checkpoint_unix_creator(struct sock *sk, struct pid_namespace *ns,
				    s32 *pid)
{
	const struct cred *cred = sk->sk_peer_cred, *has;
	struct task_struct *task;
	bool same = false;

	rcu_read_lock();
	task = sk->sk_peer_pid ? pid_task(sk->sk_peer_pid, PIDTYPE_TGID) : NULL;
	if (task && !task->exit_state && cred) {
		has = __task_cred(task);
		same = uid_eq(has->euid, cred->euid) && gid_eq(has->egid, cred->egid) &&
		       has->user_ns == cred->user_ns &&
		       has->group_info->ngroups == cred->group_info->ngroups &&
		       !memcmp(has->group_info->gid, cred->group_info->gid,
			       cred->group_info->ngroups * sizeof(kgid_t));
	}
	*pid = pid_nr_ns(sk->sk_peer_pid, ns);
	rcu_read_unlock();
	return same && *pid > 0;
}

/* What has been sent to a socket and cannot be sent again. */
static const char *checkpoint_unix_received_refused(struct sock *sk, struct sock *peer)
{
	bool marked = unix_may_passcred(sk) || unix_may_passcred(peer) ||
		      sock_flag(sk, SOCK_RCVTSTAMP);
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	const char *why = NULL;
	struct sk_buff *skb;

	spin_lock(&queue->lock);
	skb_queue_walk(queue, skb) {
		if (marked || UNIXCB(skb).pid || skb->tstamp)
			why = "has credentials or time stamps in its queue";
		else if (sk->sk_type == SOCK_STREAM && !unix_skb_len(skb))
			why = "has had data out of band (MSG_OOB)";
	}
#if IS_ENABLED(CONFIG_AF_UNIX_OOB)
	if (unix_sk(sk)->oob_skb)
		why = "has data out of band (MSG_OOB)";
#endif
	/* The last of them is sent as long as there is any room. */
	skb = skb_peek_tail(queue);
	if (!why && skb && sk_wmem_alloc_get(peer) - (int)skb->truesize >= peer->sk_sndbuf)
		why = "has received more than could be sent now (SO_SNDBUF)";
	spin_unlock(&queue->lock);
	return why;
}

/* Two sockets as socketpair() makes them. */
static const char *checkpoint_unix_pair(struct sock *sk, struct pid_namespace *ns,
					struct checkpoint_unix *state)
{
	struct sock *peer = unix_peer(sk);

	if (peer && sock_flag(peer, SOCK_DEAD))
		return "has been connected to one that has been closed";
	if (!peer || unix_peer(peer) != sk || unix_sk(sk)->listener ||
	    sk->sk_state != TCP_ESTABLISHED || peer->sk_state != TCP_ESTABLISHED)
		return "is connected";
	if (unix_sk(sk)->addr || unix_sk(peer)->addr)
		return "is connected, and has a name or is connected to a name";
	if (!checkpoint_unix_creator(sk, ns, &state->creator))
		return "has socketpair(2) from somebody else, or who had other credentials";
	state->side = sk > peer;
	state->pair = (unsigned long)(sk > peer ? peer : sk);
	return checkpoint_unix_received_refused(sk, peer);
}

const char *checkpoint_unix_get(struct sock *sk, struct pid_namespace *ns,
				struct checkpoint_unix *state)
{
	struct unix_sock *u = unix_sk(sk);
	const char *why = NULL;

	mutex_lock(&u->bindlock);
	unix_state_lock(sk);
	if (sk->sk_prot != &unix_dgram_proto && sk->sk_prot != &unix_stream_proto)
		why = "has had its functions replaced";
	else if (u->vertex)
		why = "is in a message itself (SCM_RIGHTS)";
	else if (atomic_read(&u->scm_stat.nr_fds))
		why = "has descriptors in its queue (SCM_RIGHTS)";
	else if (unix_peer(sk) || u->listener ||
		 (sk->sk_state != TCP_CLOSE && sk->sk_state != TCP_LISTEN))
		why = checkpoint_unix_pair(sk, ns, state);
	else if (sk->sk_state == TCP_LISTEN ?
		 !checkpoint_unix_creator(sk, ns, &state->creator) :
		 sk->sk_peer_pid || sk->sk_peer_cred)
		why = "has listen(2) from somebody else, or who had other credentials";
	if (!why && u->path.dentry) {
		state->path = u->path;
		path_get(&state->path);
	}
	unix_state_unlock(sk);
	mutex_unlock(&u->bindlock);
	return why;
}

int checkpoint_unix_get_sent(struct sock *sk, struct checkpoint_unix_sent *sent)
{
	struct sk_buff_head *queue;
	struct sk_buff *skb;
	int err = 0;

	sent->count = 0;
	sent->len = 0;
	sent->consumed = 0;
	unix_state_lock(sk);
	if (!unix_peer(sk)) {
		unix_state_unlock(sk);
		return -ENOTCONN;
	}
	queue = &unix_peer(sk)->sk_receive_queue;
	spin_lock(&queue->lock);
	if (sk->sk_type == SOCK_STREAM && !skb_queue_empty(queue))
		sent->consumed = UNIXCB(skb_peek(queue)).consumed;
	skb_queue_walk(queue, skb) {
		if (!err && sent->count < sent->max && skb->len <= sent->room - sent->len) {
			sent->lens[sent->count] = skb->len;
			err = skb_copy_bits(skb, 0, sent->data + sent->len, skb->len);
		} else {
			/* Only counted from now on. */
			sent->max = 0;
		}
		sent->count++;
		sent->len += skb->len;
	}
	spin_unlock(&queue->lock);
	unix_state_unlock(sk);
	return err;
}

int checkpoint_unix_set_creator(struct sock *sk, struct task_struct *task)
{
	struct unix_peercred peercred = {};
	int err = -ENOTCONN;
	struct pid *pid;

	/* As prepare_peercred() for the caller. */
	pid = get_task_pid(task, PIDTYPE_TGID);
	if (!pid)
		return -ESRCH;
	unix_state_lock(sk);
	if (unix_peer(sk) || sk->sk_state == TCP_LISTEN)
		err = 0;
	unix_state_unlock(sk);
	if (!err)
		err = pidfs_register_pid(pid);
	if (err) {
		put_pid(pid);
		return err;
	}
	peercred.peer_pid = pid;
	peercred.peer_cred = get_task_cred(task);
	update_peercred(sk, &peercred);
	drop_peercred(&peercred);
	return 0;
}

/* -ENOPROTOOPT if it is an option of all sockets */
int checkpoint_unix_getsockopt(struct sock *sk, int name)
{
	struct unix_sock *u = unix_sk(sk);

	if (name == SO_INQ && sk->sk_type == SOCK_STREAM)
		return u->recvmsg_inq;
	if (name == SO_RIGHTS_NOTRUNC)
		return u->scm_rights_notrunc;
	return -ENOPROTOOPT;
}

/* Whether the running task could take the file away and bind to a new one. */
static int checkpoint_unix_may_attach(const struct path *path)
{
	struct mnt_idmap *idmap = mnt_idmap(path->mnt);
	struct dentry *parent;
	int ret = mnt_want_write(path->mnt);

	if (ret)
		return ret;
	parent = dget_parent(path->dentry);
	ret = inode_permission(idmap, d_inode(parent), MAY_WRITE | MAY_EXEC);
	if (!ret && !inode_owner_or_capable(idmap, d_inode(path->dentry)))
		ret = -EACCES;
	if (!ret && (IS_APPEND(d_inode(parent)) || IS_IMMUTABLE(d_inode(path->dentry))))
		ret = -EPERM;
	dput(parent);
	mnt_drop_write(path->mnt);
	return ret;
}

/* Binds a socket to a file that another one had, which is gone. */
int checkpoint_unix_attach(struct sock *sk, const struct path *path,
			   struct sockaddr_un *sunaddr, int addr_len)
{
	struct inode *inode = d_backing_inode(path->dentry);
	struct unix_sock *u = unix_sk(sk);
	struct net *net = sock_net(sk);
	unsigned int new_hash, old_hash;
	struct unix_address *addr;
	struct sock *other;
	int err;

	err = unix_validate_addr(sunaddr, addr_len);
	if (err)
		return err;
	if (!sunaddr->sun_path[0])
		return -EINVAL;
	if (!S_ISSOCK(inode->i_mode))
		return -EADDRINUSE;
	err = checkpoint_unix_may_attach(path);
	if (err)
		return err;
	addr_len = unix_mkname_bsd(sunaddr, addr_len);
	addr = unix_create_addr(sunaddr, addr_len);
	if (!addr)
		return -ENOMEM;

	/* Only this function binds to an inode that is there already. */
	inode_lock(inode);
	mutex_lock(&u->bindlock);
	err = u->addr ? -EINVAL : 0;
	other = unix_find_socket_byinode(inode);
	if (other) {
		sock_put(other);
		err = -EADDRINUSE;
	}
	if (!err) {
		old_hash = sk->sk_hash;
		new_hash = unix_bsd_hash(inode);
		unix_table_double_lock(net, old_hash, new_hash);
		u->path = *path;
		path_get(&u->path);
		__unix_set_addr_hash(net, sk, addr, new_hash);
		unix_table_double_unlock(net, old_hash, new_hash);
		unix_insert_bsd_socket(sk);
	}
	mutex_unlock(&u->bindlock);
	inode_unlock(inode);
	if (err)
		unix_release_addr(addr);
	return err;
}
