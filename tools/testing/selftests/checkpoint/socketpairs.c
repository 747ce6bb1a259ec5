// SPDX-License-Identifier: GPL-2.0
/* Sockets that socketpair() has connected to each other, and what is in them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <linux/sockios.h>

#include "cr.h"

static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
#define TYPES	ARRAY_SIZE(types)

static int pairs[TYPES][2];

static void make_pair(int type, int pair[2])
{
	int n = socket(AF_INET, SOCK_DGRAM, 0);

	/* Without IP no sockets are saved, nor are those of AF_UNIX. */
	if (n < 0)
		cr_skip("this kernel has no IP");
	close(n);
	if (socketpair(AF_UNIX, type, 0, pair))
		cr_skip("this kernel has no AF_UNIX");
}

static int waiting(int fd, int request)
{
	int n = -1;

	CHECK_EQ(ioctl(fd, request, &n), 0);
	return n;
}

static void transmit(int fd, unsigned int seed, size_t len)
{
	unsigned char data[8000];

	cr_pattern(data, len, seed);
	CHECK_EQ(send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL), len);
}

static void receive(int fd, unsigned int seed, size_t skip, size_t len)
{
	unsigned char data[8000], want[8000];

	cr_pattern(want, skip + len, seed);
	CHECK_EQ(recv(fd, data, sizeof(data) < len ? sizeof(data) : len, MSG_DONTWAIT), len);
	CHECK_MEM(data, want + skip, len);
}

static void is_empty(int fd)
{
	char c;

	CHECK(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

/* Who has made a socket, as its other end sees it. */
static void check_creator(int fd, pid_t pid)
{
	struct ucred cred = {};
	socklen_t len = sizeof(cred);

	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	CHECK_EQ(cred.pid, pid);
	CHECK_EQ(cred.uid, geteuid());
	CHECK_EQ(cred.gid, getegid());
}

/* Nothing in them. */
static void empty_setup(void)
{
	size_t i;

	for (i = 0; i < TYPES; i++) {
		make_pair(types[i], pairs[i]);
		NEED(!fcntl(pairs[i][1], F_SETFL, O_NONBLOCK));
	}
}

static void empty_check(enum cr_phase phase)
{
	size_t i;

	for (i = 0; i < TYPES; i++) {
		CHECK_EQ(fcntl(pairs[i][0], F_GETFL), O_RDWR);
		CHECK_EQ(fcntl(pairs[i][1], F_GETFL), O_RDWR | O_NONBLOCK);
		check_creator(pairs[i][0], getpid());
		check_creator(pairs[i][1], getpid());
		is_empty(pairs[i][0]);
		is_empty(pairs[i][1]);
		transmit(pairs[i][0], 1, 100);
		receive(pairs[i][1], 1, 0, 100);
		transmit(pairs[i][1], 2, 200);
		receive(pairs[i][0], 2, 0, 200);
	}
}

/* Messages in both directions; of a stream some of the first has been read. */
static int unread[TYPES], unsent[TYPES];

static void fill(size_t i)
{
	int *pair = pairs[i];

	transmit(pair[0], 1, 3000);
	if (types[i] == SOCK_DGRAM)
		CHECK_EQ(send(pair[0], "", 0, 0), 0);
	transmit(pair[0], 2, 5000);
	if (types[i] == SOCK_STREAM)
		receive(pair[1], 1, 0, 1000);
	transmit(pair[1], 3, 10);
	unread[i] = waiting(pair[1], SIOCINQ);
	unsent[i] = waiting(pair[0], SIOCOUTQ);
}

static void contents_setup(void)
{
	size_t i;

	for (i = 0; i < TYPES; i++) {
		make_pair(types[i], pairs[i]);
		fill(i);
	}
}

static void contents_check(enum cr_phase phase)
{
	char c;
	size_t i;

	for (i = 0; i < TYPES; i++) {
		int *pair = pairs[i];

		CHECK_EQ(waiting(pair[1], SIOCINQ), unread[i]);
		CHECK_EQ(waiting(pair[0], SIOCOUTQ), unsent[i]);
		if (types[i] == SOCK_STREAM)
			receive(pair[1], 1, 1000, 2000);
		else
			receive(pair[1], 1, 0, 3000);
		if (types[i] == SOCK_DGRAM)
			CHECK_EQ(recv(pair[1], &c, 1, MSG_DONTWAIT), 0);
		receive(pair[1], 2, 0, 5000);
		is_empty(pair[1]);
		receive(pair[0], 3, 0, 10);
		is_empty(pair[0]);
		check_creator(pair[0], getpid());
		fill(i);
	}
}

/* As much as goes in, which is less than for a new socket, or more. */
static const int sizes[] = { 5000, 300000 };
#define SIZES	ARRAY_SIZE(sizes)
static int full[TYPES][SIZES][2], count[TYPES][SIZES];

static void fill_up(size_t i, size_t j)
{
	unsigned char data[1000];

	for (count[i][j] = 0;; count[i][j]++) {
		cr_pattern(data, sizeof(data), count[i][j]);
		if (send(full[i][j][0], data, sizeof(data), MSG_DONTWAIT) != sizeof(data))
			break;
	}
	CHECK(errno == EAGAIN);
	CHECK(count[i][j] > 1);
}

static void full_setup(void)
{
	size_t i, j;

	for (i = 0; i < TYPES; i++) {
		for (j = 0; j < SIZES; j++) {
			make_pair(types[i], full[i][j]);
			NEED(!setsockopt(full[i][j][0], SOL_SOCKET, SO_SNDBUFFORCE,
					 &sizes[j], sizeof(sizes[j])));
			fill_up(i, j);
		}
	}
}

static void full_check(enum cr_phase phase)
{
	size_t i, j;
	int k;

	for (i = 0; i < TYPES; i++) {
		for (j = 0; j < SIZES; j++) {
			int *pair = full[i][j];

			CHECK(send(pair[0], "x", 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
			for (k = 0; k < count[i][j]; k++)
				receive(pair[1], k, 0, 1000);
			is_empty(pair[1]);
			k = count[i][j];
			fill_up(i, j);
			CHECK_EQ(count[i][j], k);
		}
	}
}

/* A child that answers, and waits for the next question when it is saved. */
static int line[2];

static void answer(void *arg)
{
	struct ucred cred;
	socklen_t len;
	char c;

	close(line[0]);
	while (read(line[1], &c, 1) == 1) {
		len = sizeof(cred);
		if (getsockopt(line[1], SOL_SOCKET, SO_PEERCRED, &cred, &len) ||
		    cred.pid != getppid())
			c = 'x';
		if (write(line[1], &c, 1) != 1)
			break;
	}
}

static void family_setup(void)
{
	make_pair(SOCK_STREAM, line);
	cr_fork(answer, NULL);
	close(line[1]);
}

static void family_check(enum cr_phase phase)
{
	struct pollfd poll_fd = { .fd = line[0], .events = POLLIN };
	char c = 0;

	check_creator(line[0], getpid());
	CHECK_EQ(write(line[0], "a", 1), 1);
	CHECK_EQ(poll(&poll_fd, 1, CR_TIMEOUT_MS), 1);
	CHECK_EQ(recv(line[0], &c, 1, MSG_DONTWAIT), 1);
	CHECK_EQ(c, 'a');
}

/* One that a child has made, with other credentials than its parent has. */
static struct shared {
	struct cr_task task;
	pid_t pid;
	int stage;
} *shared;

static void make_and_wait(void *arg)
{
	int n = *(int *)arg;

	NEED(!setresgid(1001, 1001, 1001) && !setresuid(1000, 1000, 1000));
	make_pair(SOCK_SEQPACKET, line);
	NEED(dup2(line[0], n) == n && dup2(line[1], n + 1) == n + 1);
	shared->pid = getpid();
	cr_set(&shared->stage, 1);
	for (;;)
		pause();
}

/* Both have the same table of descriptors. */
static void by_child_setup(void)
{
	int n = 200;
	pid_t pid;

	shared = cr_shared(sizeof(*shared));
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		make_and_wait(&n);
		_exit(0);
	}
	NEED(pid > 0);
	cr_await(&shared->stage, 1);
}

static void by_child_check(enum cr_phase phase)
{
	struct ucred cred = {};
	socklen_t len = sizeof(cred);

	CHECK_EQ(getsockopt(200, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	CHECK_EQ(cred.pid, shared->pid);
	CHECK_EQ(cred.uid, 1000);
	CHECK_EQ(cred.gid, 1001);
	transmit(200, 1, 100);
	receive(201, 1, 0, 100);
}

/* Somebody waits for it with epoll. */
static int epoll;

static void epoll_setup(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 };

	make_pair(SOCK_STREAM, line);
	epoll = epoll_create1(0);
	NEED(epoll >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, line[1], &event));
}

static void epoll_check(enum cr_phase phase)
{
	struct epoll_event event = {};
	char c;

	CHECK_EQ(write(line[0], "a", 1), 1);
	CHECK_EQ(epoll_wait(epoll, &event, 1, CR_TIMEOUT_MS), 1);
	CHECK_EQ(event.data.u32, 7);
	CHECK_EQ(read(line[1], &c, 1), 1);
}

/* What is refused. */
static void open_check(enum cr_phase phase)
{
	CHECK(fcntl(line[0], F_GETFL) >= 0);
}

/* Whoever has lost its parent is a child of the driver, and not in the tree. */
static void leave(void *arg)
{
	if (fork())
		_exit(0);
	for (;;)
		pause();
}

static void outside_setup(void)
{
	make_pair(SOCK_STREAM, line);
	cr_reap(cr_fork(leave, NULL), 0);
	close(line[1]);
}

static void closed_setup(void)
{
	make_pair(SOCK_SEQPACKET, line);
	close(line[1]);
}

static void closed_datagrams_setup(void)
{
	make_pair(SOCK_DGRAM, line);
	close(line[1]);
}

static void shut_setup(void)
{
	make_pair(SOCK_STREAM, line);
	NEED(!shutdown(line[0], SHUT_WR));
}

static void rights_setup(void)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec part = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	make_pair(SOCK_STREAM, line);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &(int){ 0 }, sizeof(int));
	NEED(sendmsg(line[0], &message, 0) == 1);
}

static void credentials_setup(void)
{
	make_pair(SOCK_DGRAM, line);
	NEED(!setsockopt(line[1], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)));
	NEED(write(line[0], "x", 1) == 1);
}

static void named_setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	make_pair(SOCK_DGRAM, line);
	strcpy(address.sun_path, cr_path("name"));
	NEED(!bind(line[1], (struct sockaddr *)&address, sizeof(address)));
}

static void urgent_setup(void)
{
	make_pair(SOCK_STREAM, line);
	if (send(line[0], "x", 1, MSG_OOB) != 1)
		cr_skip("this kernel has no MSG_OOB of AF_UNIX");
}

static void shrunk_setup(void)
{
	int i;

	make_pair(SOCK_DGRAM, line);
	for (i = 0; i < 30; i++)
		transmit(line[0], i, 1000);
	NEED(!setsockopt(line[0], SOL_SOCKET, SO_SNDBUF, &(int){ 4000 }, sizeof(int)));
}

static void make_and_end(void *arg)
{
	make_pair(SOCK_STREAM, line);
	NEED(dup2(line[0], 200) == 200 && dup2(line[1], 201) == 201);
}

static void ended_setup(void)
{
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (!pid) {
		make_and_end(NULL);
		_exit(0);
	}
	cr_reap(pid, 0);
	line[0] = 200;
}

static const struct cr_scenario scenarios[] = {
	{ "socketpair.empty", CR_ANY, empty_setup, empty_check },
	{ "socketpair.contents", CR_ANY, contents_setup, contents_check },
	{ "socketpair.full", CR_TREE, full_setup, full_check },
	{ "socketpair.family", CR_TREE, family_setup, family_check },
	{ "socketpair.by_child", CR_TREE, by_child_setup, by_child_check },
	{ "socketpair.epoll", CR_ANY, epoll_setup, epoll_check },
	{ "socketpair.outside", CR_SUBTREE, outside_setup, open_check, CR_REFUSED,
	  "connected to one which is not in the tree" },
#define REFUSED(name, setup, text) \
	{ "socketpair." name, CR_TREE, setup, open_check, CR_REFUSED, text }
	REFUSED("closed", closed_setup, "connected to one that has been closed"),
	REFUSED("closed_datagrams", closed_datagrams_setup,
		"connected to one that has been closed"),
	REFUSED("shut", shut_setup, "has been shut down"),
	REFUSED("rights", rights_setup, "has descriptors in its queue"),
	REFUSED("credentials", credentials_setup,
		"has credentials or time stamps in its queue"),
	REFUSED("named", named_setup, "has a name or is connected to a name"),
	REFUSED("urgent", urgent_setup, "has data out of band"),
	REFUSED("shrunk", shrunk_setup, "received more than could be sent now"),
	REFUSED("ended", ended_setup, "has socketpair(2) from somebody else"),
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
