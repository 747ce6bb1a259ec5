// SPDX-License-Identifier: GPL-2.0
/*
 * What a socket is, or why it cannot be saved, for net/checkpoint.rs.
 */

#ifdef CONFIG_INET

#include <linux/xattr.h>
#include <net/af_unix.h>
#include <net/inet_common.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/tcp.h>
#include <net/transp_v6.h>
#include <net/udp.h>

/* Flags that an option shows, or that say nothing about the past. */
#define CHECKPOINT_SOCK_FLAGS						\
	(BIT(SOCK_URGINLINE) | BIT(SOCK_KEEPOPEN) | BIT(SOCK_LINGER) |	\
	 BIT(SOCK_BROADCAST) | BIT(SOCK_TIMESTAMP) | BIT(SOCK_ZAPPED) |	\
	 BIT(SOCK_USE_WRITE_QUEUE) | BIT(SOCK_DBG) |			\
	 BIT(SOCK_RCVTSTAMP) | BIT(SOCK_RCVTSTAMPNS) |			\
	 BIT(SOCK_LOCALROUTE) | BIT(SOCK_RXQ_OVFL) |			\
	 BIT(SOCK_ZEROCOPY) | BIT(SOCK_WIFI_STATUS) |			\
	 BIT(SOCK_NOFCS) | BIT(SOCK_FILTER_LOCKED) |			\
	 BIT(SOCK_SELECT_ERR_QUEUE) | BIT(SOCK_RCU_FREE) |		\
	 BIT(SOCK_TSTAMP_NEW) | BIT(SOCK_RCVMARK) | BIT(SOCK_RCVPRIORITY))

__rust_helper bool rust_helper_checkpoint_is_socket(struct file *file)
{
	return sock_from_file(file);
}

/* What any socket may have that cannot be saved. */
static inline const char *checkpoint_sock_refused(struct socket *sock, bool is_pair)
{
	struct sock *sk = sock->sk;
	bool is_paced = sk->sk_max_pacing_rate != ~0UL;

	if (sock_net(sk) != current->nsproxy->net_ns)
		return "is in another network namespace than the caller";
	if (sk->sk_err || sk->sk_err_soft)
		return "has an error that nobody has read (SO_ERROR)";
	if (sk->sk_shutdown)
		return "has been shut down";
	if ((!skb_queue_empty(&sk->sk_receive_queue) && !is_pair) ||
	    !skb_queue_empty(&sk->sk_write_queue) ||
	    !skb_queue_empty(&sk->sk_error_queue) || sk->sk_backlog.len)
		return "has something in its queues";
	if (rcu_access_pointer(sk->sk_filter))
		return "has a filter (SO_ATTACH_FILTER)";
	if (sk->sk_flags & ~CHECKPOINT_SOCK_FLAGS || sk->sk_tsflags ||
	    sk->sk_bind_phc || atomic_read(&sk->sk_tskey) ||
	    (!sock_flag(sk, SOCK_RCVTSTAMP) &&
	     (sock_flag(sk, SOCK_TIMESTAMP) || sock_flag(sk, SOCK_TSTAMP_NEW))))
		return "has or had time stamps of a kind that is not supported";
	if (!sk->sk_rcvtimeo || !sk->sk_sndtimeo)
		return "has a negative timeout (SO_RCVTIMEO, SO_SNDTIMEO)";
	if (sk->sk_reserved_mem)
		return "has reserved memory (SO_RESERVE_MEM)";
	if (sk->sk_pacing_rate != sk->sk_max_pacing_rate ||
	    sk->sk_pacing_status != (is_paced ? SK_PACING_NEEDED : SK_PACING_NONE))
		return "has had another pacing rate (SO_MAX_PACING_RATE)";
	if (sk->sk_user_data)
		return "is used by the kernel itself";
#ifdef CONFIG_XFRM
	if (rcu_access_pointer(sk->sk_policy[0]) ||
	    rcu_access_pointer(sk->sk_policy[1]))
		return "has a policy of IPsec";
#endif
#ifdef CONFIG_BPF_SYSCALL
	if (rcu_access_pointer(sk->sk_bpf_storage))
		return "has storage of BPF programs";
#endif
	if (sk->sk_bpf_cb_flags)
		return "calls BPF programs";
#if IS_ENABLED(CONFIG_INET_PSP)
	if (rcu_access_pointer(sk->psp_assoc))
		return "has keys of PSP";
#endif
	return NULL;
}

static inline const char *checkpoint_inet_refused(struct sock *sk)
{
	struct inet_sock *inet = inet_sk(sk);

	if (rcu_access_pointer(inet->inet_opt))
		return "has options of IP (IP_OPTIONS)";
	if (rcu_access_pointer(inet->mc_list))
		return "is a member of a multicast group";
	if (inet->inet_dport || inet_test_bit(DEFER_CONNECT, sk))
		return "is connected";
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		struct ipv6_pinfo *np = inet6_sk(sk);

		if (rcu_access_pointer(np->opt) || np->sticky_pktinfo.ipi6_ifindex ||
		    !ipv6_addr_any(&np->sticky_pktinfo.ipi6_addr))
			return "has options of IPv6 that go into each packet";
		if (rcu_access_pointer(inet->ipv6_fl_list) || np->flow_label ||
		    inet6_test_bit(REPFLOW, sk))
			return "has a flow label (IPV6_FLOWLABEL_MGR)";
		if (np->pktoptions || np->rxpmtu)
			return "has something in its queues";
		if (rcu_access_pointer(np->ipv6_mc_list) || np->ipv6_ac_list)
			return "is a member of a multicast or anycast group";
	}
#endif
	return NULL;
}

/* Whether the group of SO_REUSEPORT has a program, or is not as for a new socket. */
static inline const char *checkpoint_reuse_refused(struct sock *sk, bool grouped)
{
	struct sock_reuseport *reuse;
	bool has_prog;

	rcu_read_lock();
	reuse = rcu_dereference(sk->sk_reuseport_cb);
	has_prog = reuse && rcu_access_pointer(reuse->prog);
	rcu_read_unlock();
	if (has_prog)
		return "has a program that chooses among sockets (SO_ATTACH_REUSEPORT_*)";
	if (sk->sk_reuse > SK_CAN_REUSE || (reuse && !sk->sk_reuseport) ||
	    (!reuse && sk->sk_reuseport && grouped))
		return "has changed SO_REUSEADDR or SO_REUSEPORT since it was bound";
	return NULL;
}

static inline const char *checkpoint_tcp_refused(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct request_sock_queue *queue = &icsk->icsk_accept_queue;
	struct tcp_sock *tp = tcp_sk(sk);

	if (sk->sk_state != TCP_CLOSE && sk->sk_state != TCP_LISTEN)
		return "is an end of a TCP connection";
	if (sock->state != SS_UNCONNECTED || tp->write_seq || tp->max_window ||
	    sk->sk_disconnects)
		return "has been connected or has listened before";
	if (reqsk_queue_len(queue) || sk->sk_ack_backlog ||
	    READ_ONCE(queue->rskq_accept_head) || queue->fastopenq.qlen)
		return "has connections that nobody has accepted";
	if (icsk->icsk_ulp_ops)
		return "has a protocol above TCP (TCP_ULP)";
	if (rcu_access_pointer(queue->fastopenq.ctx))
		return "has keys of its own (TCP_FASTOPEN_KEY)";
	if (tp->repair || tp->repair_queue || tp->tsoffset)
		return "is or was under repair (TCP_REPAIR)";
#ifdef CONFIG_TCP_MD5SIG
	if (rcu_access_pointer(tp->md5sig_info))
		return "has keys (TCP_MD5SIG)";
#endif
#ifdef CONFIG_TCP_AO
	if (rcu_access_pointer(tp->ao_info))
		return "has keys (TCP_AO)";
#endif
#ifdef CONFIG_BPF
	if (tp->bpf_sock_ops_cb_flags)
		return "calls BPF programs";
#endif
#if IS_ENABLED(CONFIG_SMC)
	if (tp->syn_smc)
		return "belongs to SMC";
#endif
	if (sk_is_mptcp(sk))
		return "belongs to MPTCP";
	/* See inet_csk_get_port(): what was set when the port was taken. */
	if (icsk->icsk_bind_hash &&
	    ((icsk->icsk_bind_hash->fastreuse > 0 && !sk->sk_reuse) ||
	     (icsk->icsk_bind_hash->fastreuseport > 0 && !sk->sk_reuseport)))
		return "has changed SO_REUSEADDR or SO_REUSEPORT since it was bound";
	return checkpoint_reuse_refused(sk, sk->sk_state == TCP_LISTEN);
}

static inline const char *checkpoint_udp_refused(struct sock *sk)
{
	const unsigned long known = BIT(UDP_FLAGS_CORK) |
		BIT(UDP_FLAGS_NO_CHECK6_TX) | BIT(UDP_FLAGS_NO_CHECK6_RX) |
		BIT(UDP_FLAGS_GRO_ENABLED) | BIT(UDP_FLAGS_ACCEPT_L4) |
		BIT(UDP_FLAGS_ENCAP_ENABLED);
	struct udp_sock *up = udp_sk(sk);

	if (sk->sk_state != TCP_CLOSE)
		return "is connected";
	if (!skb_queue_empty(&up->reader_queue) || sk_rmem_alloc_get(sk))
		return "has something in its queues";
	if (up->pending)
		return "has the beginning of a packet (UDP_CORK, MSG_MORE)";
	/* UDP_GRO makes it look like one, too, as far as the flags go. */
	if (up->encap_type || up->encap_rcv || up->udp_flags & ~known)
		return "is the end of a tunnel (UDP_ENCAP)";
	return checkpoint_reuse_refused(sk, inet_sk(sk)->inet_num);
}

/* The functions of a socket may be those of something else that took it over. */
static inline bool
checkpoint_inet_is(struct socket *sock, const struct proto_ops *ops,
		   const struct proto *prot, const struct proto_ops *ops6,
		   const struct proto *prot6)
{
	struct sock *sk = sock->sk;
	const struct proto_ops *has = READ_ONCE(sock->ops);
	const struct proto *proto = READ_ONCE(sk->sk_prot);

	if (sk->sk_family == AF_INET)
		return has == ops && proto == prot;
	return sk->sk_family == AF_INET6 && ops6 && has == ops6 && proto == prot6;
}

static inline bool checkpoint_is_tcp(struct socket *sock)
{
#if IS_ENABLED(CONFIG_IPV6)
	return checkpoint_inet_is(sock, &inet_stream_ops, &tcp_prot,
				  &inet6_stream_ops, &tcpv6_prot);
#else
	return checkpoint_inet_is(sock, &inet_stream_ops, &tcp_prot, NULL, NULL);
#endif
}

static inline bool checkpoint_is_udp(struct socket *sock)
{
#if IS_ENABLED(CONFIG_IPV6)
	return checkpoint_inet_is(sock, &inet_dgram_ops, &udp_prot,
				  &inet6_dgram_ops, &udpv6_prot);
#else
	return checkpoint_inet_is(sock, &inet_dgram_ops, &udp_prot, NULL, NULL);
#endif
}

/* Whether a program has given the file of the socket attributes of its own. */
static inline int checkpoint_has_xattrs(struct dentry *dentry)
{
	ssize_t size = d_inode(dentry)->i_op->listxattr(dentry, NULL, 0);
	char *list, *name;
	int ret = 0;

	if (size <= 0)
		return size;
	list = kvzalloc(size + 1, GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	size = d_inode(dentry)->i_op->listxattr(dentry, list, size);
	if (size < 0)
		ret = size;
	for (name = list; !ret && name < list + size; name += strlen(name) + 1)
		ret = strstarts(name, XATTR_USER_PREFIX);
	kvfree(list);
	return ret;
}

static inline const char *
checkpoint_inet_get(struct socket *sock, struct checkpoint_socket *state)
{
	bool tcp = checkpoint_is_tcp(sock), udp = checkpoint_is_udp(sock);
	struct sock *sk = sock->sk;
	const char *why;

	if (!tcp && !udp)
		return "is neither a plain TCP nor a plain UDP socket";
	why = tcp ? checkpoint_tcp_refused(sock) : checkpoint_udp_refused(sk);
	if (!why)
		why = checkpoint_inet_refused(sk);
	if (why)
		return why;
	if (sk->sk_userlocks & SOCK_CONNECT_BIND)
		return "is connected";
	if (inet_sk(sk)->inet_num || sk->sk_userlocks & SOCK_BINDADDR_LOCK)
		state->flags |= CHECKPOINT_SOCKET_BOUND;
	if (sk->sk_userlocks & SOCK_BINDPORT_LOCK)
		state->flags |= CHECKPOINT_SOCKET_PORT;
	if (tcp && sk->sk_state == TCP_LISTEN)
		state->backlog = sk->sk_max_ack_backlog;
	return NULL;
}

static inline const char *
checkpoint_af_unix_get(struct socket *sock, struct pid_namespace *ns,
		       struct checkpoint_socket *state, struct path *path)
{
#ifdef CONFIG_UNIX
	struct checkpoint_unix known = {};
	struct sock *sk = sock->sk;
	const char *why = checkpoint_unix_get(sk, ns, &known);

	if (why)
		return why;
	*path = known.path;
	state->creator = known.creator;
	state->pair = known.pair;
	state->side = known.side;
	if (READ_ONCE(unix_sk(sk)->addr))
		state->flags |= CHECKPOINT_SOCKET_BOUND;
	state->backlog = sk->sk_max_ack_backlog;
	if (path->dentry) {
		struct inode *inode = d_inode(path->dentry);

		state->path_mode = inode->i_mode & S_IALLUGO;
		state->path_uid = from_kuid(current_user_ns(), inode->i_uid);
		state->path_gid = from_kgid(current_user_ns(), inode->i_gid);
	}
	return NULL;
#else
	return "is of a family that is not supported";
#endif
}

/*
 * Reads a socket. @state->refused is what of it cannot be saved, or NULL;
 * then the rest is there. @path is referenced, or empty.
 */
__rust_helper int
rust_helper_checkpoint_socket_get(struct file *file, struct pid_namespace *ns,
				  struct checkpoint_socket *state, struct path *path)
{
	struct socket *sock = sock_from_file(file);
	struct sock *sk = sock->sk;
	struct inode *inode = file_inode(file);
	int ret = checkpoint_has_xattrs(file->f_path.dentry);
	const char *why = NULL;

	if (ret < 0)
		return ret;
	memset(path, 0, sizeof(*path));
	memset(state, 0, sizeof(*state));
	state->family = sk->sk_family;
	state->type = sk->sk_type;
	state->protocol = sk->sk_family == AF_UNIX ? 0 : sk->sk_protocol;
	if (ret)
		why = "has extended attributes";
	else if (inode->i_mode != (S_IFSOCK | 0777))
		why = "has other permissions than a new socket (fchmod)";
	ret = 0;

	lock_sock(sk);
	if (sk->sk_family == AF_INET || sk->sk_family == AF_INET6)
		why = why ?: checkpoint_inet_get(sock, state);
	else if (sk->sk_family == AF_UNIX)
		why = why ?: checkpoint_af_unix_get(sock, ns, state, path);
	else
		why = "is of a family that is not supported";
	if (!why)
		why = checkpoint_sock_refused(sock, state->pair);
	if (!why) {
		state->uid = from_kuid(current_user_ns(), inode->i_uid);
		state->gid = from_kgid(current_user_ns(), inode->i_gid);
		state->drops = sk_drops_read(sk);
		state->stamp = ktime_to_ns(sock_read_timestamp(sk));
		if (sk->sk_state == TCP_LISTEN)
			state->flags |= CHECKPOINT_SOCKET_LISTENS;
	}
	release_sock(sk);
	if (!why && state->flags & CHECKPOINT_SOCKET_BOUND) {
		ret = sock->ops->getname(sock, (struct sockaddr *)&state->address, 0);
		if (ret > 0) {
			state->address_len = ret;
			ret = 0;
		}
	}
	state->refused = why;
	return ret;
}

#endif /* CONFIG_INET */
