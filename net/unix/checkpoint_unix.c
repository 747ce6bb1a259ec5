// SPDX-License-Identifier: GPL-2.0
/*
 * Reads sockets of AF_UNIX, and binds them to files that are there, for
 * checkpoint/restart.
 *
 * Included by af_unix.c, to which the functions are private.
 */

/* With whose credentials who connects sees a socket that listens (SO_PEERCRED). */
static bool checkpoint_unix_listener(struct sock *sk, struct pid_namespace *ns,
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

const char *checkpoint_unix_get(struct sock *sk, struct pid_namespace *ns,
				struct path *path, s32 *listener)
{
	struct unix_sock *u = unix_sk(sk);
	const char *why = NULL;

	mutex_lock(&u->bindlock);
	unix_state_lock(sk);
	if (sk->sk_prot != &unix_dgram_proto && sk->sk_prot != &unix_stream_proto)
		why = "has had its functions replaced";
	else if (unix_peer(sk) || u->listener ||
		 (sk->sk_state != TCP_CLOSE && sk->sk_state != TCP_LISTEN))
		why = "is connected";
	else if (u->vertex || atomic_read(&u->scm_stat.nr_fds))
		why = "is in a message itself (SCM_RIGHTS)";
	else if (sk->sk_state == TCP_LISTEN ?
		 !checkpoint_unix_listener(sk, ns, listener) :
		 sk->sk_peer_pid || sk->sk_peer_cred)
		why = "has listen(2) from somebody else, or who had other credentials";
	if (!why && u->path.dentry) {
		*path = u->path;
		path_get(path);
	}
	unix_state_unlock(sk);
	mutex_unlock(&u->bindlock);
	return why;
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
