// SPDX-License-Identifier: GPL-2.0
/* Counters to wait for, and sets of things to wait for. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "cr.h"

static int fd, epfd, fds[2];

static uint64_t take(int n)
{
	uint64_t value = 0;

	CHECK_EQ(read(n, &value, sizeof(value)), sizeof(value));
	return value;
}

static void give(int n, uint64_t value)
{
	CHECK_EQ(write(n, &value, sizeof(value)), sizeof(value));
}

static void check_would_block(int n)
{
	uint64_t value;

	CHECK_EQ(read(n, &value, sizeof(value)), -1);
	CHECK_EQ(errno, EAGAIN);
}

#define COUNT	0x123456789abcULL

static void counter_setup(void)
{
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	NEED(fd >= 0);
	give(fd, COUNT);
}

static void counter_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE),
		 O_NONBLOCK | O_RDWR);
	CHECK_EQ(take(fd), COUNT);
	check_would_block(fd);
	give(fd, COUNT);
}

static void semaphore_setup(void)
{
	fd = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
	NEED(fd >= 0);
}

static void semaphore_check(enum cr_phase phase)
{
	CHECK_EQ(take(fd), 1);
	CHECK_EQ(take(fd), 1);
	CHECK_EQ(take(fd), 1);
	check_would_block(fd);
	give(fd, 3);
}

/* The highest value: the next write would block. */
static void brimful_setup(void)
{
	fd = eventfd(0, EFD_NONBLOCK);
	NEED(fd >= 0);
	give(fd, UINT64_MAX - 1);
}

static void brimful_check(enum cr_phase phase)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	uint64_t one = 1;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_EQ(write(fd, &one, sizeof(one)), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(take(fd), UINT64_MAX - 1);
	give(fd, UINT64_MAX - 1);
}

/* Two processes with one counter: what one gives, the other one takes. */
static int *turn;

static void doubler(void *arg)
{
	for (;;) {
		if (cr_get(turn) == 1) {
			give(fd, 2 * take(fd));
			cr_set(turn, 0);
		}
		cr_msleep(2);
	}
}

static void by_two_setup(void)
{
	fd = eventfd(0, 0);
	NEED(fd >= 0);
	turn = cr_shared(sizeof(*turn));
	cr_fork(doubler, NULL);
}

static void by_two_check(enum cr_phase phase)
{
	give(fd, 21 + phase);
	cr_set(turn, 1);
	cr_await(turn, 0);
	CHECK_EQ(take(fd), 2 * (21 + phase));
}

/* epoll: which descriptors, which events, which data */
static void add(int set, int n, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	NEED(!epoll_ctl(set, EPOLL_CTL_ADD, n, &ev));
}

static void check_none(int set)
{
	struct epoll_event ev;

	CHECK_EQ(epoll_wait(set, &ev, 1, 0), 0);
}

static void check_one(int set, uint32_t events, uint64_t data)
{
	struct epoll_event ev[4] = { };

	CHECK_EQ(epoll_wait(set, ev, 4, 0), 1);
	CHECK_EQ(ev[0].events, events);
	CHECK_EQ(ev[0].data.u64, data);
}

#define DATA	0xfedcba9876543210ULL

static void start_set(void)
{
	NEED(!pipe2(fds, O_NONBLOCK));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	NEED(epfd >= 0);
}

static void drain(void)
{
	char c;

	while (read(fds[0], &c, 1) == 1)
		;
}

static void level_setup(void)
{
	start_set();
	add(epfd, fds[0], EPOLLIN, DATA);
}

static void level_check(enum cr_phase phase)
{
	CHECK_EQ(fcntl(epfd, F_GETFD), FD_CLOEXEC);
	check_none(epfd);
	NEED(write(fds[1], "x", 1) == 1);
	check_one(epfd, EPOLLIN, DATA);
	check_one(epfd, EPOLLIN, DATA);
	drain();
	check_none(epfd);
}

/* Ready when the checkpoint comes, and told of already: ready still. */
static void ready_setup(void)
{
	level_setup();
	NEED(write(fds[1], "x", 1) == 1);
}

static void ready_check(enum cr_phase phase)
{
	check_one(epfd, EPOLLIN, DATA);
}

/* An edge that nobody was told of. */
static void edge_setup(void)
{
	start_set();
	add(epfd, fds[0], EPOLLIN | EPOLLET, DATA);
	NEED(write(fds[1], "x", 1) == 1);
}

static void edge_check(enum cr_phase phase)
{
	check_one(epfd, EPOLLIN, DATA);
	check_none(epfd);
	NEED(write(fds[1], "x", 1) == 1);
}

/* A one-shot item that has fired is silent until it is armed anew. */
static void oneshot_setup(void)
{
	start_set();
	add(epfd, fds[0], EPOLLIN | EPOLLONESHOT, DATA);
	NEED(write(fds[1], "x", 1) == 1);
	check_one(epfd, EPOLLIN, DATA);
}

static void oneshot_check(enum cr_phase phase)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLONESHOT,
		.data.u64 = DATA + phase,
	};

	check_none(epfd);
	CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_MOD, fds[0], &ev), 0);
	check_one(epfd, EPOLLIN, DATA + phase);
	check_none(epfd);
}

/* Many items, of which some are ready. */
#define ITEMS	64

static int items[ITEMS];

static void many_setup(void)
{
	size_t i;

	start_set();
	for (i = 0; i < ITEMS; i++) {
		items[i] = eventfd(i % 3 == 0, EFD_NONBLOCK);
		NEED(items[i] >= 0);
		add(epfd, items[i], i % 2 ? EPOLLIN : EPOLLOUT, DATA + i);
	}
}

static void many_check(enum cr_phase phase)
{
	struct epoll_event ev[2 * ITEMS] = { };
	uint32_t got[ITEMS] = { };
	int i, n;

	n = epoll_wait(epfd, ev, ARRAY_SIZE(ev), 0);
	for (i = 0; i < n; i++) {
		CHECK(ev[i].data.u64 - DATA < ITEMS);
		if (ev[i].data.u64 - DATA < ITEMS)
			got[ev[i].data.u64 - DATA] = ev[i].events;
	}
	for (i = 0; i < ITEMS; i++)
		CHECK_EQ(got[i], i % 2 == 0 ? EPOLLOUT :
			 i % 3 == 0 ? EPOLLIN : 0);
}

static void nested_setup(void)
{
	start_set();
	fd = epoll_create1(0);
	NEED(fd >= 0);
	add(epfd, fds[0], EPOLLIN, DATA);
	add(fd, epfd, EPOLLIN, DATA + 1);
}

static void nested_check(enum cr_phase phase)
{
	check_none(fd);
	NEED(write(fds[1], "x", 1) == 1);
	check_one(fd, EPOLLIN, DATA + 1);
	check_one(epfd, EPOLLIN, DATA);
	drain();
	check_none(fd);
}

/* The number was closed, the file was not: the item lives on. */
static void closed_setup(void)
{
	start_set();
	add(epfd, fds[0], EPOLLIN, DATA);
	NEED(dup2(fds[0], 50) == 50);
	NEED(!close(fds[0]));
	fds[0] = 50;
}

static void closed_check(enum cr_phase phase)
{
	check_none(epfd);
	NEED(write(fds[1], "x", 1) == 1);
	check_one(epfd, EPOLLIN, DATA);
	drain();
}

static const struct cr_scenario scenarios[] = {
	{ "eventfd.counter", CR_ANY, counter_setup, counter_check },
	{ "eventfd.semaphore", CR_ANY, semaphore_setup, semaphore_check },
	{ "eventfd.brimful", CR_ANY, brimful_setup, brimful_check },
	{ "eventfd.parent_and_child", CR_TREE, by_two_setup, by_two_check },
	{ "epoll.level", CR_ANY, level_setup, level_check },
	{ "epoll.ready", CR_ANY, ready_setup, ready_check },
	{ "epoll.edge", CR_ANY, edge_setup, edge_check },
	{ "epoll.oneshot", CR_ANY, oneshot_setup, oneshot_check },
	{ "epoll.many", CR_ANY, many_setup, many_check },
	{ "epoll.nested", CR_ANY, nested_setup, nested_check },
	{ "epoll.closed_number", CR_TREE, closed_setup, closed_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
