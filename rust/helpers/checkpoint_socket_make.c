// SPDX-License-Identifier: GPL-2.0
/*
 * Making sockets and what is in them, for net/checkpoint.rs.
 */

#ifdef CONFIG_INET

#include <net/af_unix.h>
#include <net/sock.h>

/* Gives a socket to a user, as far as the running task may. */
__rust_helper int
rust_helper_checkpoint_socket_chown(struct file *file, const struct checkpoint_socket *state)
{
	struct iattr owner = {
		.ia_valid = ATTR_UID | ATTR_GID,
		.ia_vfsuid = VFSUIDT_INIT(make_kuid(current_user_ns(), state->uid)),
		.ia_vfsgid = VFSGIDT_INIT(make_kgid(current_user_ns(), state->gid)),
	};
	struct inode *inode = file_inode(file);
	int ret = 0;

	if (!vfsuid_valid(owner.ia_vfsuid) || !vfsgid_valid(owner.ia_vfsgid))
		return -EINVAL;
	inode_lock(inode);
	if (from_kuid(current_user_ns(), inode->i_uid) != state->uid ||
	    from_kgid(current_user_ns(), inode->i_gid) != state->gid)
		ret = notify_change(&nop_mnt_idmap, file->f_path.dentry, &owner, NULL);
	inode_unlock(inode);
	return ret;
}

/* Makes a socket. */
__rust_helper struct file *
rust_helper_checkpoint_socket_create(const struct checkpoint_socket *state)
{
	return __sys_socket_file(state->family, state->type, state->protocol);
}

/* Connects two sockets, as socketpair(2) does. */
__rust_helper int
rust_helper_checkpoint_socket_connect(struct file *one, struct file *other)
{
	struct socket *a = sock_from_file(one), *b = sock_from_file(other);
	int ret = security_socket_socketpair(a, b);

	return ret ?: a->ops->socketpair(a, b);
}

/* What a socket has sent and the other one has not received. */
__rust_helper int
rust_helper_checkpoint_socket_get_sent(struct file *file, struct checkpoint_unix_sent *sent)
{
#ifdef CONFIG_UNIX
	struct sock *sk = sock_from_file(file)->sk;

	if (sk->sk_family == AF_UNIX)
		return checkpoint_unix_get_sent(sk, sent);
#endif
	return -EAFNOSUPPORT;
}

/*
 * Sends a message, and lets @other, which is connected to it, receive so many
 * bytes of it.
 */
__rust_helper int
rust_helper_checkpoint_socket_send(struct file *file, struct file *other, void *data,
				   size_t len, size_t consumed)
{
	struct socket *from = sock_from_file(file), *to = sock_from_file(other);
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec vec = { .iov_base = data, .iov_len = len };
	int ret = kernel_sendmsg(from, &msg, &vec, 1, len);
	int peek_off;

	if (ret < 0 || ret != len)
		return ret < 0 ? ret : -EAGAIN;
	if (!consumed)
		return 0;
	/* What was set is where it stands now. */
	peek_off = READ_ONCE(to->sk->sk_peek_off);
	ret = kernel_recvmsg(to, &msg, &vec, 1, consumed, MSG_DONTWAIT);
	WRITE_ONCE(to->sk->sk_peek_off, peek_off);
	return ret < 0 ? ret : ret == consumed ? 0 : -EAGAIN;
}

/* Shows the process of @task to who connects, or is connected (SO_PEERCRED). */
__rust_helper int
rust_helper_checkpoint_socket_set_creator(struct file *file, struct task_struct *task)
{
#ifdef CONFIG_UNIX
	struct sock *sk = sock_from_file(file)->sk;

	if (sk->sk_family == AF_UNIX)
		return checkpoint_unix_set_creator(sk, task);
#endif
	return -EAFNOSUPPORT;
}

/* A new file of an AF_UNIX socket gets what the old one had, as far as one may. */
static inline int
checkpoint_unix_set_path(struct sock *sk, const struct checkpoint_socket *state)
{
#ifdef CONFIG_UNIX
	const struct path *path = &unix_sk(sk)->path;
	struct iattr attr = {
		.ia_valid = ATTR_MODE,
		.ia_mode = S_IFSOCK | state->path_mode,
	};
	struct inode *inode;
	int ret;

	if (!path->dentry)
		return 0;
	inode = d_inode(path->dentry);
	ret = mnt_want_write(path->mnt);
	if (ret)
		return ret;
	inode_lock(inode);
	ret = notify_change(mnt_idmap(path->mnt), path->dentry, &attr, NULL);
	attr = (struct iattr){
		.ia_valid = ATTR_UID | ATTR_GID,
		.ia_vfsuid = VFSUIDT_INIT(make_kuid(current_user_ns(), state->path_uid)),
		.ia_vfsgid = VFSGIDT_INIT(make_kgid(current_user_ns(), state->path_gid)),
	};
	if (!ret && (from_kuid(current_user_ns(), inode->i_uid) != state->path_uid ||
		     from_kgid(current_user_ns(), inode->i_gid) != state->path_gid))
		ret = vfsuid_valid(attr.ia_vfsuid) && vfsgid_valid(attr.ia_vfsgid) ?
		      notify_change(mnt_idmap(path->mnt), path->dentry, &attr, NULL) :
		      -EINVAL;
	inode_unlock(inode);
	mnt_drop_write(path->mnt);
	return ret;
#else
	return -EAFNOSUPPORT;
#endif
}

static inline int
checkpoint_unix_bind(struct socket *sock, const struct path *path,
		     struct checkpoint_socket *state)
{
	int ret = -EAFNOSUPPORT;

#ifdef CONFIG_UNIX
	ret = security_socket_bind(sock, (struct sockaddr *)&state->address,
				   state->address_len);
	if (!ret)
		ret = checkpoint_unix_attach(sock->sk, path,
					     (struct sockaddr_un *)&state->address,
					     state->address_len);
#endif
	return ret;
}

/* Lets it listen, with all checks of listen(2). */
__rust_helper int
rust_helper_checkpoint_socket_listen(struct file *file, unsigned int backlog)
{
	return __sys_listen_socket(sock_from_file(file), backlog);
}

/*
 * Binds it, with all checks of bind(2); to the file @path if that is not NULL.
 * A socket of IPv4 or IPv6 listens then.
 */
__rust_helper int
rust_helper_checkpoint_socket_bind(struct file *file, struct checkpoint_socket *state,
				   const struct path *path)
{
	struct socket *sock = sock_from_file(file);
	struct sock *sk = sock->sk;
	bool is_unix = sk->sk_family == AF_UNIX;
	int ret = 0;

	if (path && is_unix)
		ret = checkpoint_unix_bind(sock, path, state);
	else if (state->flags & CHECKPOINT_SOCKET_BOUND)
		ret = __sys_bind_socket(sock, &state->address, state->address_len);
	if (!ret && !path && is_unix)
		ret = checkpoint_unix_set_path(sk, state);
	if (!ret && !is_unix && state->flags & CHECKPOINT_SOCKET_LISTENS)
		ret = __sys_listen_socket(sock, state->backlog);
	if (ret)
		return ret;

	lock_sock(sk);
	/* Nobody has asked for this port: it was free. */
	if (!(state->flags & CHECKPOINT_SOCKET_PORT))
		sk->sk_userlocks &= ~SOCK_BINDPORT_LOCK;
	sk_drops_reset(sk);
	sk_drops_add(sk, state->drops);
	sock_write_timestamp(sk, ns_to_ktime(state->stamp));
	release_sock(sk);
	return 0;
}

/* An address for people. */
__rust_helper void
rust_helper_checkpoint_socket_name(const struct checkpoint_socket *state,
				   char *name, size_t size)
{
	const struct sockaddr_un *sun = (const void *)&state->address;

	if (state->family != AF_UNIX)
		scnprintf(name, size, "%pISpc", &state->address);
	else if (sun->sun_path[0])
		scnprintf(name, size, "%.108s", sun->sun_path);
	else
		scnprintf(name, size, "@%.107s", sun->sun_path + 1);
}

#endif /* CONFIG_INET */
