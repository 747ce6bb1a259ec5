// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that are not connected: of TCP, UDP and AF_UNIX.
 *
 * All options of all sockets of the root are compared by cr_observe.c; what is
 * here sets them.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <linux/filter.h>

#include "cr.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK		72
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL	69
#define SO_BUSY_POLL_BUDGET	70
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK		75
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY		82
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE	51
#endif
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL	70
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT		103
#define UDP_GRO			104
#endif

static int fd, fds[4];

/* An address of the machine itself, for both families. */
union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t loopback(union address *address, int family, int port)
{
	memset(address, 0, sizeof(*address));
	address->any.sa_family = family;
	if (family == AF_INET) {
		address->in.sin_port = htons(port);
		address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(address->in);
	}
	address->in6.sin6_port = htons(port);
	address->in6.sin6_addr = in6addr_loopback;
	return sizeof(address->in6);
}

/* Without IP no sockets are saved, nor are those of AF_UNIX. */
static void need_ip(void)
{
	int n = socket(AF_INET, SOCK_DGRAM, 0);

	if (n < 0)
		cr_skip("this kernel has no IP");
	close(n);
}

static int make(int family, int type)
{
	int n;

	need_ip();
	n = socket(family, type, 0);
	if (n < 0 && cr_unsupported(errno))
		cr_skip("this kernel knows no such socket");
	NEED(n >= 0);
	return n;
}

static void set(int n, int level, int name, int value)
{
	if (setsockopt(n, level, name, &value, sizeof(value)))
		cr_note(__FILE__, __LINE__, "option %d of level %d: errno %d",
			name, level, errno);
}

static int get(int n, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	CHECK_EQ(getsockopt(n, level, name, &value, &len), 0);
	return value;
}

static int port_of(int n)
{
	union address address;
	socklen_t len = sizeof(address);

	CHECK_EQ(getsockname(n, &address.any, &len), 0);
	return ntohs(address.any.sa_family == AF_INET ? address.in.sin_port :
							address.in6.sin6_port);
}

static int bound(int family, int type, int port)
{
	union address address;
	socklen_t len = loopback(&address, family, port);
	int n = make(family, type);

	set(n, SOL_SOCKET, SO_REUSEADDR, 1);
	NEED(!bind(n, &address.any, len));
	return n;
}

static int listening(int family, int port)
{
	int n = bound(family, SOCK_STREAM, port);

	NEED(!listen(n, 5));
	return n;
}

/* A client says something, and hears it again. */
static int say(int family, int port)
{
	union address address;
	socklen_t len = loopback(&address, family, port);
	int n = make(family, SOCK_STREAM);

	CHECK_EQ(connect(n, &address.any, len), 0);
	CHECK_EQ(send(n, "hello", 5, MSG_NOSIGNAL), 5);
	return n;
}

static void hear(int n)
{
	char text[8] = "";

	CHECK_EQ(recv(n, text, 5, MSG_WAITALL), 5);
	CHECK_STR(text, "hello");
	close(n);
}

static void answer(int server)
{
	char text[8];
	ssize_t len = recv(server, text, 5, MSG_WAITALL);

	CHECK_EQ(send(server, text, len > 0 ? len : 0, MSG_NOSIGNAL), 5);
}

/* The client ends first, so that nothing of the port is left. */
static void serve(int family, int n, int port)
{
	int client = say(family, port), server = accept(n, NULL, NULL);
	char c;

	NEED(server >= 0);
	answer(server);
	hear(client);
	CHECK_EQ(read(server, &c, 1), 0);
	close(server);
}

static void fresh_setup(void)
{
	fds[0] = make(AF_INET, SOCK_STREAM);
	fds[1] = make(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
	fds[2] = make(AF_INET, SOCK_DGRAM);
	fds[3] = make(AF_INET6, SOCK_DGRAM);
}

static void fresh_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		CHECK_EQ(port_of(fds[i]), 0);
		CHECK_EQ(get(fds[i], SOL_SOCKET, SO_ACCEPTCONN), 0);
		CHECK_EQ(fcntl(fds[i], F_GETFL) & O_NONBLOCK,
			 i == 1 ? O_NONBLOCK : 0);
		CHECK_EQ(fcntl(fds[i], F_GETFD), i == 1 ? FD_CLOEXEC : 0);
	}
}

static void bound_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7001);

	fd = make(AF_INET, SOCK_STREAM);
	NEED(!bind(fd, &address.any, len));
}

static void bound_check(enum cr_phase phase)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7001);
	int n = make(AF_INET, SOCK_STREAM);

	CHECK_EQ(port_of(fd), 7001);
	CHECK_EQ(bind(n, &address.any, len), -1);
	CHECK_EQ(errno, EADDRINUSE);
	close(n);
}

static void listening_setup(void)
{
	fd = listening(AF_INET, 7002);
}

static void listening_check(enum cr_phase phase)
{
	CHECK_EQ(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	serve(AF_INET, fd, 7002);
}

static void listening6_setup(void)
{
	union address address = { };

	fds[0] = listening(AF_INET6, 7003);
	fds[1] = make(AF_INET6, SOCK_STREAM);
	set(fds[1], SOL_IPV6, IPV6_V6ONLY, 0);
	address.in6.sin6_family = AF_INET6;
	address.in6.sin6_port = htons(7004);
	NEED(!bind(fds[1], &address.any, sizeof(address.in6)));
	NEED(!listen(fds[1], 1));
	fds[2] = make(AF_INET6, SOCK_STREAM);
	set(fds[2], SOL_IPV6, IPV6_V6ONLY, 1);
	address.in6.sin6_port = htons(7005);
	NEED(!bind(fds[2], &address.any, sizeof(address.in6)));
	NEED(!listen(fds[2], 4000));
}

static void listening6_check(enum cr_phase phase)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7005);
	int n = make(AF_INET, SOCK_STREAM);

	serve(AF_INET6, fds[0], 7003);
	serve(AF_INET6, fds[1], 7004);
	serve(AF_INET, fds[1], 7004);
	serve(AF_INET6, fds[2], 7005);
	CHECK_EQ(connect(n, &address.any, len), -1);
	CHECK_EQ(errno, ECONNREFUSED);
	close(n);
}

static int ports[2];

/* Ports that the kernel has chosen, for bind(2) and for listen(2). */
static void chosen_setup(void)
{
	fds[0] = bound(AF_INET, SOCK_STREAM, 0);
	fds[1] = make(AF_INET, SOCK_STREAM);
	NEED(!listen(fds[1], 3));
	ports[0] = port_of(fds[0]);
	ports[1] = port_of(fds[1]);
}

static void chosen_check(enum cr_phase phase)
{
	CHECK_EQ(port_of(fds[0]), ports[0]);
	CHECK_EQ(port_of(fds[1]), ports[1]);
	serve(AF_INET, fds[1], ports[1]);
}

/* An address without a port. */
static void no_port_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 0);

	fd = make(AF_INET, SOCK_STREAM);
	set(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	NEED(!bind(fd, &address.any, len));
}

static void no_port_check(enum cr_phase phase)
{
	union address address;
	socklen_t len = sizeof(address);

	CHECK_EQ(port_of(fd), 0);
	CHECK_EQ(getsockname(fd, &address.any, &len), 0);
	CHECK_EQ(ntohl(address.in.sin_addr.s_addr), INADDR_LOOPBACK);
}

struct option {
	int level, name, value;
};

static const struct option of_all[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ SOL_SOCKET, SO_OOBINLINE, 1 },
	{ SOL_SOCKET, SO_DONTROUTE, 1 },
	{ SOL_SOCKET, SO_BROADCAST, 1 },
	{ SOL_SOCKET, SO_DEBUG, 1 },
	{ SOL_SOCKET, SO_MARK, 77 },
	{ SOL_SOCKET, SO_RCVMARK, 1 },
	{ SOL_SOCKET, SO_RCVPRIORITY, 1 },
	{ SOL_SOCKET, SO_RXQ_OVFL, 1 },
	{ SOL_SOCKET, SO_RCVLOWAT, 300 },
	{ SOL_SOCKET, SO_LOCK_FILTER, 1 },
	{ SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1 },
	{ SOL_SOCKET, SO_PEEK_OFF, 5 },
	{ SOL_SOCKET, SO_TIMESTAMPNS, 1 },
	{ SOL_SOCKET, SO_ZEROCOPY, 1 },
	{ SOL_SOCKET, SO_INCOMING_CPU, 1 },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, 100000 },
	{ SOL_IP, IP_TOS, 0x10 },
	{ SOL_SOCKET, SO_PRIORITY, 3 },
	{ SOL_IP, IP_TTL, 64 },
	{ SOL_IP, IP_MINTTL, 3 },
	{ SOL_IP, IP_RECVTTL, 1 },
	{ SOL_IP, IP_RECVTOS, 1 },
	{ SOL_IP, IP_PKTINFO, 1 },
	{ SOL_IP, IP_RECVERR, 1 },
	{ SOL_IP, IP_FREEBIND, 1 },
	{ SOL_IP, IP_TRANSPARENT, 1 },
	{ SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO },
	{ SOL_IP, IP_LOCAL_PORT_RANGE, 30000 << 16 | 20000 },
	{ }
};

static const struct option of_ipv6[] = {
	{ SOL_IPV6, IPV6_UNICAST_HOPS, 64 },
	{ SOL_IPV6, IPV6_RECVPKTINFO, 1 },
	{ SOL_IPV6, IPV6_RECVHOPLIMIT, 1 },
	{ SOL_IPV6, IPV6_RECVTCLASS, 1 },
	{ SOL_IPV6, IPV6_TCLASS, 0x20 },
	{ SOL_IPV6, IPV6_RECVERR, 1 },
	{ SOL_IPV6, IPV6_MTU, 1400 },
	{ SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE },
	{ SOL_IPV6, IPV6_DONTFRAG, 1 },
	{ SOL_IPV6, IPV6_AUTOFLOWLABEL, 1 },
	{ SOL_IPV6, IPV6_MINHOPCOUNT, 2 },
	{ SOL_IPV6, IPV6_ADDR_PREFERENCES, 2 },
	{ SOL_IPV6, IPV6_V6ONLY, 1 },
	{ }
};

static const struct option of_tcp[] = {
	{ SOL_TCP, TCP_NODELAY, 1 },
	{ SOL_TCP, TCP_CORK, 1 },
	{ SOL_TCP, TCP_MAXSEG, 1000 },
	{ SOL_TCP, TCP_KEEPIDLE, 7200 },	/* as if nobody had */
	{ SOL_TCP, TCP_KEEPINTVL, 11 },
	{ SOL_TCP, TCP_KEEPCNT, 4 },
	{ SOL_TCP, TCP_SYNCNT, 3 },
	{ SOL_TCP, TCP_LINGER2, 20 },
	{ SOL_TCP, TCP_DEFER_ACCEPT, 10 },
	{ SOL_TCP, TCP_WINDOW_CLAMP, 20000 },
	{ SOL_TCP, TCP_QUICKACK, 0 },
	{ SOL_TCP, TCP_USER_TIMEOUT, 12345 },
	{ SOL_TCP, TCP_NOTSENT_LOWAT, 5000 },
	{ SOL_TCP, TCP_SAVE_SYN, 1 },
	{ SOL_TCP, TCP_FASTOPEN, 3 },
	{ SOL_TCP, TCP_FASTOPEN_NO_COOKIE, 1 },
	{ SOL_TCP, TCP_INQ, 1 },
	{ SOL_TCP, TCP_TX_DELAY, 100 },
	{ }
};

static const struct option of_udp[] = {
	{ SOL_SOCKET, SO_NO_CHECK, 1 },
	{ SOL_IP, IP_MULTICAST_TTL, 9 },
	{ SOL_IP, IP_MULTICAST_LOOP, 0 },
	{ SOL_IP, IP_MULTICAST_ALL, 0 },
	{ SOL_UDP, UDP_CORK, 1 },
	{ SOL_UDP, UDP_SEGMENT, 500 },
	{ SOL_UDP, UDP_GRO, 1 },
	{ }
};

static void set_all(int n, const struct option *option)
{
	for (; option->name; option++)
		set(n, option->level, option->name, option->value);
}

/* What is not a plain number. */
static void set_others(int n)
{
	struct linger linger = { 0, 5 };
	struct timeval receive = { 3, 500000 }, send = { 100000, 0 };

	NEED(!setsockopt(n, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	linger.l_onoff = 1;
	if (n % 2)
		NEED(!setsockopt(n, SOL_SOCKET, SO_LINGER, &linger,
				 sizeof(linger)));
	NEED(!setsockopt(n, SOL_SOCKET, SO_RCVTIMEO, &receive,
			 sizeof(receive)));
	NEED(!setsockopt(n, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof(send)));
	NEED(!setsockopt(n, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
}

static void options_setup(void)
{
	int i;

	fresh_setup();
	for (i = 0; i < 4; i++) {
		set_all(fds[i], of_all);
		if (i % 2)
			set_all(fds[i], of_ipv6);
		if (i < 2)
			set_all(fds[i], of_tcp);
		else
			set_all(fds[i], of_udp);
		set_others(fds[i]);
	}
	NEED(!setsockopt(fds[0], SOL_TCP, TCP_CONGESTION, "reno", 4));
}

static void options_check(enum cr_phase phase)
{
	CHECK_EQ(get(fds[0], SOL_SOCKET, SO_PRIORITY), 3);
	CHECK_EQ(get(fds[1], SOL_SOCKET, SO_MARK), 77);
	CHECK_EQ(get(fds[1], SOL_TCP, TCP_KEEPINTVL), 11);
	CHECK_EQ(get(fds[2], SOL_UDP, UDP_SEGMENT), 500);
}

/* The same of sockets that are bound, and that listen. */
static void bound_options_setup(void)
{
	union address address;
	socklen_t len;
	int i;

	options_setup();
	for (i = 0; i < 4; i++) {
		len = loopback(&address, i % 2 ? AF_INET6 : AF_INET, 7010 + i);
		NEED(!bind(fds[i], &address.any, len));
	}
	NEED(!listen(fds[0], 2));
	NEED(!listen(fds[1], 3));
}

static void buffers_setup(void)
{
	fresh_setup();
	set(fds[0], SOL_SOCKET, SO_SNDBUF, 30000);
	set(fds[0], SOL_SOCKET, SO_RCVBUF, 1);
	set(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20);
	set(fds[1], SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
	set(fds[2], SOL_SOCKET, SO_RCVBUF, 50000);
	set(fds[2], SOL_SOCKET, SO_BUF_LOCK, 0);
	set(fds[3], SOL_SOCKET, SO_BUF_LOCK, 2);
}

static void buffers_check(enum cr_phase phase)
{
	CHECK_EQ(get(fds[0], SOL_SOCKET, SO_SNDBUF), 60000);
	CHECK_EQ(get(fds[1], SOL_SOCKET, SO_RCVBUF), 16 << 20);
	CHECK_EQ(get(fds[2], SOL_SOCKET, SO_RCVBUF), 100000);
	CHECK_EQ(get(fds[2], SOL_SOCKET, SO_BUF_LOCK), 0);
	CHECK_EQ(get(fds[3], SOL_SOCKET, SO_BUF_LOCK), 2);
}

/* Two that share a port, of which one is chosen for each connection. */
static void reuse_port_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7020);
	int i;

	for (i = 0; i < 2; i++) {
		fds[i] = make(AF_INET, SOCK_STREAM);
		set(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
		NEED(!bind(fds[i], &address.any, len));
		NEED(!listen(fds[i], 5));
	}
}

static void reuse_port_check(enum cr_phase phase)
{
	struct pollfd p[2] = {
		{ .fd = fds[0], .events = POLLIN },
		{ .fd = fds[1], .events = POLLIN },
	};
	int i, client, server;

	for (i = 0; i < 8; i++) {
		client = say(AF_INET, 7020);
		CHECK_EQ(poll(p, 2, 10000), 1);
		server = accept(p[0].revents ? fds[0] : fds[1], NULL, NULL);
		NEED(server >= 0);
		answer(server);
		hear(client);
		close(server);
	}
}

static void epoll_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 42 };

	fds[0] = listening(AF_INET, 7021);
	fds[1] = epoll_create1(0);
	NEED(!epoll_ctl(fds[1], EPOLL_CTL_ADD, fds[0], &event));
}

static void epoll_check(enum cr_phase phase)
{
	struct epoll_event event;
	int client, server;

	CHECK_EQ(epoll_wait(fds[1], &event, 1, 0), 0);
	client = say(AF_INET, 7021);
	CHECK_EQ(epoll_wait(fds[1], &event, 1, 10000), 1);
	CHECK_EQ(event.data.u32, 42);
	server = accept(fds[0], NULL, NULL);
	NEED(server >= 0);
	answer(server);
	hear(client);
	close(server);
}

/* A child that sleeps in accept(2), on the socket of its parent. */
static struct {
	struct cr_task task;
	int here;
} *sleeper;

static void accept_child(void *arg)
{
	int server;

	cr_here(&sleeper->task);
	cr_set(&sleeper->here, 1);
	for (;;) {
		server = accept(fd, NULL, NULL);
		if (server < 0)
			_exit(1);
		answer(server);
		close(server);
	}
}

static void accept_setup(void)
{
	sleeper = cr_shared(sizeof(*sleeper));
	fd = listening(AF_INET, 7022);
	cr_fork(accept_child, NULL);
	cr_await(&sleeper->here, 1);
	cr_await_blocked(&sleeper->task, SYS_accept);
}

static void accept_check(enum cr_phase phase)
{
	hear(say(AF_INET, 7022));
	/* Its end of the connection is closed when it sleeps again. */
	if (phase == CR_AGAIN)
		cr_msleep(50);
	else
		cr_await_blocked(&sleeper->task, SYS_accept);
}

static void owner_setup(void)
{
	fd = listening(AF_INET, 7023);
	NEED(!fchown(fd, 1000, 1001));
}

static void owner_check(enum cr_phase phase)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_uid, 1000);
	CHECK_EQ(st.st_gid, 1001);
	serve(AF_INET, fd, 7023);
}

static void udp_setup(void)
{
	fds[0] = bound(AF_INET, SOCK_DGRAM, 7030);
	fds[1] = bound(AF_INET6, SOCK_DGRAM, 7030);
	fds[2] = bound(AF_INET, SOCK_DGRAM, 0);
	ports[0] = port_of(fds[2]);
}

static void udp_check(enum cr_phase phase)
{
	union address address;
	char text[8] = "";
	socklen_t len;
	int i;

	for (i = 0; i < 2; i++) {
		len = loopback(&address, i ? AF_INET6 : AF_INET, 7030);
		CHECK_EQ(sendto(fds[i], "hello", 6, 0, &address.any, len), 6);
		CHECK_EQ(recv(fds[i], text, 8, 0), 6);
		CHECK_STR(text, "hello");
	}
	CHECK_EQ(port_of(fds[2]), ports[0]);
}

/* The moment at which the last packet came. */
static void stamp_setup(void)
{
	fds[0] = bound(AF_INET, SOCK_DGRAM, 7031);
}

static void stamp_check(enum cr_phase phase)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7031);
	char c;

	CHECK_EQ(sendto(fds[0], "x", 1, 0, &address.any, len), 1);
	CHECK_EQ(recv(fds[0], &c, 1, 0), 1);
}

/* AF_UNIX */
static socklen_t unix_address(struct sockaddr_un *address, const char *name)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	/* A name without a file begins with a zero. */
	strcpy(address->sun_path + (*name == '@'), name + (*name == '@'));
	return offsetof(struct sockaddr_un, sun_path) + strlen(name) +
	       (*name != '@');
}

static int unix_bound(int type, const char *name)
{
	struct sockaddr_un address;
	socklen_t len = unix_address(&address, name);
	int n = make(AF_UNIX, type);

	NEED(!bind(n, (struct sockaddr *)&address, len));
	return n;
}

/* Whoever connects is answered, and sees who listens. */
static void unix_serve(int n, int type, const char *name, uid_t uid)
{
	struct sockaddr_un address;
	socklen_t len = unix_address(&address, name), size;
	int client = make(AF_UNIX, type), server;
	struct ucred cred = { };

	CHECK_EQ(connect(client, (struct sockaddr *)&address, len), 0);
	size = sizeof(cred);
	CHECK_EQ(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &size), 0);
	CHECK_EQ(cred.pid, getpid());
	CHECK_EQ(cred.uid, uid);
	server = accept(n, NULL, NULL);
	NEED(server >= 0);
	CHECK_EQ(send(client, "hello", 5, MSG_NOSIGNAL), 5);
	answer(server);
	hear(client);
	close(server);
}

static void unix_fresh_setup(void)
{
	fds[0] = make(AF_UNIX, SOCK_STREAM);
	fds[1] = make(AF_UNIX, SOCK_DGRAM);
	fds[2] = make(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK);
	fds[3] = unix_bound(SOCK_STREAM, cr_path("bound"));
	set(fds[0], SOL_SOCKET, SO_PASSCRED, 1);
	set(fds[1], SOL_SOCKET, SO_RCVBUF, 20000);
	set(fds[1], SOL_SOCKET, 83 /* SO_PASSRIGHTS */, 0);
	set(fds[2], SOL_SOCKET, SO_PEEK_OFF, 4);
}

static void unix_fresh_check(enum cr_phase phase)
{
	CHECK_EQ(get(fds[0], SOL_SOCKET, SO_PASSCRED), 1);
	CHECK_EQ(get(fds[1], SOL_SOCKET, SO_RCVBUF), 40000);
	CHECK_EQ(get(fds[2], SOL_SOCKET, SO_PEEK_OFF), 4);
}

static void unix_listening_setup(void)
{
	fds[0] = unix_bound(SOCK_STREAM, cr_path("stream"));
	fds[1] = unix_bound(SOCK_SEQPACKET, cr_path("packets"));
	fds[2] = unix_bound(SOCK_STREAM, "@cr without a file");
	NEED(!listen(fds[0], 3) && !listen(fds[1], 4) && !listen(fds[2], 5));
	NEED(!chmod(cr_path("stream"), 0640));
}

static void unix_listening_check(enum cr_phase phase)
{
	struct stat st;

	unix_serve(fds[0], SOCK_STREAM, cr_path("stream"), getuid());
	unix_serve(fds[1], SOCK_SEQPACKET, cr_path("packets"), getuid());
	unix_serve(fds[2], SOCK_STREAM, "@cr without a file", getuid());
	CHECK_EQ(stat(cr_path("stream"), &st), 0);
	CHECK_EQ(st.st_mode, S_IFSOCK | 0640);
}

/* A user who is not the restarter. */
static void unix_user_setup(void)
{
	NEED(!setgroups(0, NULL));
	NEED(!setresgid(1001, 1001, 1001) && !setresuid(1000, 1000, 1000));
	fd = unix_bound(SOCK_STREAM, "@cr of a user");
	NEED(!listen(fd, 3));
}

static void unix_user_check(enum cr_phase phase)
{
	unix_serve(fd, SOCK_STREAM, "@cr of a user", 1000);
}

static void unix_datagrams_setup(void)
{
	fds[0] = unix_bound(SOCK_DGRAM, cr_path("datagrams"));
	fds[1] = unix_bound(SOCK_DGRAM, "@cr datagrams");
}

static void unix_datagrams_check(enum cr_phase phase)
{
	struct sockaddr_un address;
	char text[8] = "";
	socklen_t len;
	int i;

	for (i = 0; i < 2; i++) {
		len = unix_address(&address, i ? "@cr datagrams" :
						 cr_path("datagrams"));
		CHECK_EQ(sendto(fds[!i], "hello", 6, 0,
				(struct sockaddr *)&address, len), 6);
		CHECK_EQ(recv(fds[i], text, 8, 0), 6);
		CHECK_STR(text, "hello");
	}
}

/* A name that is relative, which only a file that is there can keep. */
static void unix_relative_setup(void)
{
	NEED(!chdir(cr_dir));
	fd = unix_bound(SOCK_STREAM, "relative");
	NEED(!listen(fd, 3));
}

static void unix_relative_check(enum cr_phase phase)
{
	unix_serve(fd, SOCK_STREAM, "relative", getuid());
}

static void unix_relative_drive(struct cr_run *run)
{
	char path[80];

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0) || !cr_kill(run) ||
	    !cr_restart(run, "image", 0) || !cr_check(run, CR_AGAIN) ||
	    !cr_kill(run))
		return;
	snprintf(path, sizeof(path), "%s/relative", run->dir);
	unlink(path);
	if (cr_try_restart(run, "image", 0) != -ENOENT ||
	    !cr_log_has(run, "was bound to by another name"))
		cr_failed(run, "it was bound to some other file");
	cr_none_left(run);
}

/* The file is gone, something else, or somebody else's. */
static void unix_file_drive(struct cr_run *run)
{
	struct sockaddr_un address;
	socklen_t len;
	char path[80];
	int n;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0) || !cr_kill(run))
		return;
	snprintf(path, sizeof(path), "%s/stream", run->dir);
	len = unix_address(&address, path);
	unlink(path);
	n = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (n < 0 || bind(n, (struct sockaddr *)&address, len))
		cr_failed(run, "cannot take the address");
	if (cr_try_restart(run, "image", 0) != -EADDRINUSE ||
	    !cr_log_has(run, "cannot bind a socket of AF_UNIX to "))
		cr_failed(run, "it had an address that was taken");
	close(n);
	unlink(path);
	n = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (cr_try_restart(run, "image", 0) != -EADDRINUSE)
		cr_failed(run, "it was bound to what is no socket");
	close(n);
	unlink(path);
	if (cr_none_left(run) && cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
}

/* To one that is not connected to it. */
static void unix_connected_setup(void)
{
	struct sockaddr_un address;
	socklen_t len = unix_address(&address, "@cr to connect to");

	unix_bound(SOCK_DGRAM, "@cr to connect to");
	fd = make(AF_UNIX, SOCK_DGRAM);
	NEED(!connect(fd, (struct sockaddr *)&address, len));
}

static void unix_waiting_setup(void)
{
	struct sockaddr_un address;
	socklen_t len = unix_address(&address, cr_path("waiting"));

	fd = unix_bound(SOCK_STREAM, cr_path("waiting"));
	NEED(!listen(fd, 3));
	NEED(!connect(make(AF_UNIX, SOCK_STREAM), (struct sockaddr *)&address,
		      len));
}

static void unix_deleted_setup(void)
{
	fd = unix_bound(SOCK_STREAM, cr_path("deleted"));
	NEED(!unlink(cr_path("deleted")));
}

static void listen_child(void *arg)
{
	NEED(!listen(fd, 3));
}

static void unix_other_setup(void)
{
	fd = unix_bound(SOCK_STREAM, cr_path("other"));
	cr_reap(cr_fork(listen_child, NULL), 0);
}

/* The child is still there, and is nobody that could call listen(2) again. */
static void unix_zombie_setup(void)
{
	siginfo_t info;

	fd = unix_bound(SOCK_STREAM, "@cr of a zombie");
	cr_fork(listen_child, NULL);
	NEED(!waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
}

static void unix_shut_setup(void)
{
	fd = make(AF_UNIX, SOCK_DGRAM);
	NEED(!shutdown(fd, SHUT_WR));
}

/* Somebody else has taken the address meanwhile. */
static void taken_drive(struct cr_run *run)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7002);
	int n;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0) || !cr_kill(run))
		return;
	n = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (n < 0 || bind(n, &address.any, len) || listen(n, 1)) {
		cr_failed(run, "cannot take the address");
		return;
	}
	if (cr_try_restart(run, "image", 0) != -EADDRINUSE ||
	    !cr_log_has(run, "cannot bind a socket of TCP over IPv4 to 127.0.0.1:7002"))
		cr_failed(run, "it had an address that was taken");
	close(n);
	if (cr_none_left(run) && cr_restart(run, "image", 0))
		cr_check(run, CR_AGAIN);
}

/* Refused */
static void open_check(enum cr_phase phase)
{
	CHECK(fcntl(fd, F_GETFL) >= 0);
}

static void connected_setup(void)
{
	int n = listening(AF_INET, 7040);

	fd = say(AF_INET, 7040);
	NEED(accept(n, NULL, NULL) >= 0);
	close(n);
}

static void waiting_setup(void)
{
	fd = listening(AF_INET, 7041);
	say(AF_INET, 7041);
}

static void used_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7042);

	fd = make(AF_INET, SOCK_STREAM);
	NEED(connect(fd, &address.any, len) && errno == ECONNREFUSED);
}

static void stopped_setup(void)
{
	fd = listening(AF_INET, 7043);
	NEED(!shutdown(fd, SHUT_RD));
}

static void filter_setup(void)
{
	struct sock_filter insns[] = { BPF_STMT(BPF_RET | BPF_K, 100) };
	struct sock_fprog program = { 1, insns };

	fd = bound(AF_INET, SOCK_DGRAM, 7044);
	NEED(!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			 sizeof(program)));
}

static void reuse_program_setup(void)
{
	struct sock_filter insns[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 1, insns };

	reuse_port_setup();
	fd = fds[0];
	NEED(!setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
			 sizeof(program)));
}

static void reuse_changed_setup(void)
{
	reuse_port_setup();
	close(fds[1]);
	fd = fds[0];
	set(fd, SOL_SOCKET, SO_REUSEPORT, 0);
}

static void multicast_setup(void)
{
	struct ip_mreqn group = { .imr_ifindex = 1 };

	fd = bound(AF_INET, SOCK_DGRAM, 7046);
	group.imr_multiaddr.s_addr = htonl(0xe8010203);
	NEED(!setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &group,
			 sizeof(group)));
}

static void packet_options_setup(void)
{
	unsigned char record_route[] = { 7, 7, 4, 0, 0, 0, 0, 0 };

	fd = make(AF_INET, SOCK_DGRAM);
	NEED(!setsockopt(fd, SOL_IP, IP_OPTIONS, record_route,
			 sizeof(record_route)));
}

static void stamping_setup(void)
{
	fd = make(AF_INET, SOCK_DGRAM);
	set(fd, SOL_SOCKET, SO_TIMESTAMPING, 1 << 4);
}

static void pacing_setup(void)
{
	fd = make(AF_INET, SOCK_STREAM);
	set(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 1000);
	set(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 2000);
}

static void queue_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7047);

	fd = bound(AF_INET, SOCK_DGRAM, 7047);
	NEED(sendto(fd, "text", 4, 0, &address.any, len) == 4);
}

static void udp_connected_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7048);

	fd = make(AF_INET, SOCK_DGRAM);
	NEED(!connect(fd, &address.any, len));
}

static void corked_setup(void)
{
	union address address;
	socklen_t len = loopback(&address, AF_INET, 7049);

	fd = make(AF_INET, SOCK_DGRAM);
	NEED(sendto(fd, "text", 4, MSG_MORE, &address.any, len) == 4);
}

static void raw_setup(void)
{
	need_ip();
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	NEED(fd >= 0);
}

static void mode_setup(void)
{
	fd = make(AF_INET, SOCK_STREAM);
	NEED(!fchmod(fd, 0600));
}

static void attribute_setup(void)
{
	fd = make(AF_INET, SOCK_STREAM);
	if (fsetxattr(fd, "user.color", "red", 3, 0))
		cr_skip("no extended attributes of sockets");
}

/* A socket that was made in a network namespace which its task has left. */
static void other_net_setup(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	NEED(home >= 0);
	if (unshare(CLONE_NEWNET))
		cr_skip("no network namespaces");
	fd = make(AF_INET, SOCK_STREAM);
	NEED(!setns(home, CLONE_NEWNET));
	close(home);
}

static const struct cr_scenario scenarios[] = {
	{ "socket.fresh", CR_ANY, fresh_setup, fresh_check },
	{ "socket.bound", CR_ANY, bound_setup, bound_check },
	{ "socket.listening", CR_ANY, listening_setup, listening_check },
	{ "socket.listening_ipv6", CR_ANY, listening6_setup, listening6_check },
	{ "socket.chosen_port", CR_ANY, chosen_setup, chosen_check },
	{ "socket.no_port", CR_TREE, no_port_setup, no_port_check },
	{ "socket.options", CR_TREE, options_setup, options_check },
	{ "socket.options_bound", CR_TREE, bound_options_setup, options_check },
	{ "socket.buffers", CR_TREE, buffers_setup, buffers_check },
	{ "socket.reuse_port", CR_TREE, reuse_port_setup, reuse_port_check },
	{ "socket.epoll", CR_TREE, epoll_setup, epoll_check },
	{ "socket.accept", CR_TREE, accept_setup, accept_check },
	{ "socket.owner", CR_TREE, owner_setup, owner_check },
	{ "socket.udp", CR_ANY, udp_setup, udp_check },
	{ "socket.udp_received", CR_TREE, stamp_setup, stamp_check },
	{ "socket.taken", CR_TREE, listening_setup, listening_check,
	  .drive = taken_drive },
	{ "socket.unix", CR_ANY, unix_fresh_setup, unix_fresh_check },
	{ "socket.unix_listening", CR_ANY, unix_listening_setup,
	  unix_listening_check },
	{ "socket.unix_of_user", CR_TREE, unix_user_setup, unix_user_check },
	{ "socket.unix_datagrams", CR_TREE, unix_datagrams_setup,
	  unix_datagrams_check },
	{ "socket.unix_relative", CR_TREE, unix_relative_setup,
	  unix_relative_check, .drive = unix_relative_drive },
	{ "socket.unix_file", CR_TREE, unix_listening_setup,
	  unix_listening_check, .drive = unix_file_drive },
#define REFUSED(name, setup, text) \
	{ "socket.not_" name, CR_TREE, setup, open_check, CR_REFUSED, text }
	REFUSED("connected", connected_setup, "an end of a TCP connection"),
	REFUSED("accepted", waiting_setup, "that nobody has accepted"),
	REFUSED("used", used_setup, "has been connected"),
	REFUSED("stopped", stopped_setup, "has listened before"),
	REFUSED("filtered", filter_setup, "SO_ATTACH_FILTER"),
	REFUSED("reuse_program", reuse_program_setup, "SO_ATTACH_REUSEPORT"),
	REFUSED("reuse_changed", reuse_changed_setup,
		"has changed SO_REUSEADDR"),
	REFUSED("multicast", multicast_setup, "multicast group"),
	REFUSED("packet_options", packet_options_setup, "IP_OPTIONS"),
	REFUSED("stamping", stamping_setup, "time stamps"),
	REFUSED("pacing", pacing_setup, "SO_MAX_PACING_RATE"),
	REFUSED("received", queue_setup, "something in its queues"),
	REFUSED("udp_connected", udp_connected_setup, "is connected"),
	REFUSED("corked", corked_setup, "the beginning of a packet"),
	REFUSED("raw", raw_setup, "neither a plain TCP nor a plain UDP"),
	REFUSED("mode", mode_setup, "fchmod"),
	REFUSED("attribute", attribute_setup, "has extended attributes"),
	REFUSED("unix_connected", unix_connected_setup, "AF_UNIX that is connected"),
	REFUSED("unix_accepted", unix_waiting_setup,
		"something in its queues"),
	REFUSED("unix_deleted", unix_deleted_setup, "deleted"),
	REFUSED("unix_by_zombie", unix_zombie_setup,
		"has listen(2) from somebody else"),
	REFUSED("unix_by_another", unix_other_setup,
		"has listen(2) from somebody else"),
	REFUSED("unix_shut", unix_shut_setup, "has been shut down"),
	REFUSED("in_this_namespace", other_net_setup,
		"is in another network namespace"),
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
