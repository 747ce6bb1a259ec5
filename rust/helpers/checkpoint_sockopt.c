// SPDX-License-Identifier: GPL-2.0
/*
 * Options of sockets, for net/checkpoint.rs.
 */

#ifdef CONFIG_INET

#include <net/ip.h>
#include <net/ipv6.h>
#include <net/tcp.h>
#include <net/udp.h>

/* What getsockopt(2) hides: that nobody has set it, or in which way. */
static inline int checkpoint_getsockopt_raw(struct sock *sk, int level, int name, void *value)
{
	struct inet_sock *inet = inet_sk(sk);
	int *val = value;

	if (level == SOL_SOCKET && name == SO_LINGER) {
		struct linger *linger = value;

		linger->l_onoff = sock_flag(sk, SOCK_LINGER);
		linger->l_linger = sk->sk_lingertime == MAX_SCHEDULE_TIMEOUT ?
				   -1 : sk->sk_lingertime / HZ;
		return sizeof(*linger);
	}
#ifdef CONFIG_NET_RX_BUSY_POLL
	if (level == SOL_SOCKET && name == SO_BUSY_POLL_BUDGET) {
		*val = sk->sk_busy_poll_budget;
		return sizeof(*val);
	}
#endif
	if (level == SOL_IP && name == IP_TTL) {
		*val = inet->uc_ttl;
		return sizeof(*val);
	}
	if (level == SOL_IP && name == IP_MULTICAST_IF) {
		struct ip_mreqn *mreq = value;

		mreq->imr_multiaddr.s_addr = 0;
		mreq->imr_address.s_addr = inet->mc_addr;
		mreq->imr_ifindex = inet->mc_index;
		return sizeof(*mreq);
	}
#if IS_ENABLED(CONFIG_IPV6)
	if (level == SOL_IPV6) {
		struct ipv6_pinfo *np = inet6_sk(sk);

		switch (name) {
		case IPV6_UNICAST_HOPS:
			*val = np->hop_limit;
			return sizeof(*val);
		case IPV6_MULTICAST_HOPS:
			*val = np->mcast_hops;
			return sizeof(*val);
		case IPV6_MTU:
			*val = np->frag_size;
			return sizeof(*val);
		case IPV6_AUTOFLOWLABEL:
			*val = inet6_test_bit(AUTOFLOWLABEL_SET, sk) ?
			       inet6_test_bit(AUTOFLOWLABEL, sk) : -1;
			return sizeof(*val);
		}
	}
#endif
	if (level == SOL_TCP) {
		struct inet_connection_sock *icsk = inet_csk(sk);
		struct tcp_sock *tp = tcp_sk(sk);
		u8 *name_of = value;

		switch (name) {
		case TCP_MAXSEG:
			*val = tp->rx_opt.user_mss;
			return sizeof(*val);
		case TCP_KEEPIDLE:
			*val = tp->keepalive_time / HZ;
			return sizeof(*val);
		case TCP_KEEPINTVL:
			*val = tp->keepalive_intvl / HZ;
			return sizeof(*val);
		case TCP_KEEPCNT:
			*val = tp->keepalive_probes;
			return sizeof(*val);
		case TCP_SYNCNT:
			*val = icsk->icsk_syn_retries;
			return sizeof(*val);
		case TCP_LINGER2:
			*val = tp->linger2 < 0 ? -1 : tp->linger2 / HZ;
			return sizeof(*val);
		case TCP_CONGESTION:
			/* Whether a program has chosen it, and its name. */
			*name_of = icsk->icsk_ca_setsockopt;
			strscpy_pad(name_of + 1, icsk->icsk_ca_ops->name,
				    CHECKPOINT_SOCKET_VALUE - 1);
			return CHECKPOINT_SOCKET_VALUE;
		}
	}
	if (level == SOL_UDP) {
		struct udp_sock *up = udp_sk(sk);

		switch (name) {
		case UDP_CORK:
			*val = udp_test_bit(CORK, sk);
			return sizeof(*val);
		case UDP_NO_CHECK6_TX:
			*val = udp_get_no_check6_tx(sk);
			return sizeof(*val);
		case UDP_NO_CHECK6_RX:
			*val = udp_get_no_check6_rx(sk);
			return sizeof(*val);
		case UDP_SEGMENT:
			*val = up->gso_size;
			return sizeof(*val);
		case UDP_GRO:
			*val = udp_test_bit(GRO_ENABLED, sk);
			return sizeof(*val);
		}
	}
	return -ENOENT;
}

/*
 * Reads an option as checkpoint_setsockopt() takes it. Returns its length, or
 * -ENOPROTOOPT if this socket has no such option.
 */
__rust_helper int
rust_helper_checkpoint_getsockopt(struct file *file, int level, int name, void *value)
{
	struct sock *sk = sock_from_file(file)->sk;
	int len = CHECKPOINT_SOCKET_VALUE, ret;
	sockptr_t val = KERNEL_SOCKPTR(value);

	memset(value, 0, len);
#ifdef CONFIG_UNIX
	if (sk->sk_family == AF_UNIX && level == SOL_SOCKET) {
		ret = checkpoint_unix_getsockopt(sk, name);
		if (ret >= 0) {
			memcpy(value, &ret, sizeof(ret));
			return sizeof(ret);
		}
	}
#endif
	if ((level != SOL_SOCKET && sk->sk_family == AF_UNIX) ||
	    (level == SOL_IPV6 && sk->sk_family != AF_INET6) ||
	    (level == SOL_TCP && sk->sk_protocol != IPPROTO_TCP) ||
	    (level == SOL_UDP && sk->sk_protocol != IPPROTO_UDP))
		return -ENOPROTOOPT;
	lock_sock(sk);
	ret = checkpoint_getsockopt_raw(sk, level, name, value);
	release_sock(sk);
	if (ret != -ENOENT)
		return ret;

	ret = -ENOPROTOOPT;
	if (level == SOL_SOCKET)
		ret = sk_getsockopt(sk, level, name, val, KERNEL_SOCKPTR(&len));
	else if (level == SOL_IP)
		ret = do_ip_getsockopt(sk, level, name, val, KERNEL_SOCKPTR(&len));
#if IS_ENABLED(CONFIG_IPV6)
	else if (level == SOL_IPV6)
		ret = do_ipv6_getsockopt(sk, level, name, val, KERNEL_SOCKPTR(&len));
#endif
	else if (level == SOL_TCP)
		ret = do_tcp_getsockopt(sk, level, name, val, KERNEL_SOCKPTR(&len));
	return ret == -EOPNOTSUPP ? -ENOPROTOOPT : ret ? ret : len;
}

static inline int
checkpoint_do_setsockopt(struct socket *sock, int level, int name,
			 const void *value, int len)
{
	return do_sock_setsockopt(sock, false, level, name,
				  KERNEL_SOCKPTR((void *)value), len);
}

/* Sets an option, with all checks of setsockopt(2). */
__rust_helper int
rust_helper_checkpoint_setsockopt(struct file *file, int level, int name,
				  const void *value, int len)
{
	struct socket *sock = sock_from_file(file);
	const struct linger *linger = value;
	struct linger on;
	const u8 *congestion = value;
	int val, ret;

	if (level == SOL_TCP && name == TCP_CONGESTION) {
		if (!congestion[0])
			return -EINVAL;
		return checkpoint_do_setsockopt(sock, level, name, congestion + 1,
						len - 1);
	}
	if (level != SOL_SOCKET)
		return checkpoint_do_setsockopt(sock, level, name, value, len);
	switch (name) {
	case SO_LINGER:
		on = (struct linger){ .l_onoff = 1, .l_linger = linger->l_linger };
		ret = checkpoint_do_setsockopt(sock, level, name, &on, sizeof(on));
		if (ret || linger->l_onoff)
			return ret;
		break;
	case SO_SNDBUF:
	case SO_RCVBUF:
		/* It is doubled, and cut to a limit that some may pass. */
		val = *(const int *)value / 2;
		if (name == SO_SNDBUF && val > READ_ONCE(sysctl_wmem_max))
			name = SO_SNDBUFFORCE;
		if (name == SO_RCVBUF && val > READ_ONCE(sysctl_rmem_max))
			name = SO_RCVBUFFORCE;
		return checkpoint_do_setsockopt(sock, level, name, &val, sizeof(val));
	}
	return checkpoint_do_setsockopt(sock, level, name, value, len);
}

#endif /* CONFIG_INET */
