// SPDX-License-Identifier: GPL-2.0
/* Locks of files. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "cr.h"

static int fd, other;
static pid_t child;

/* What two processes tell each other. */
static struct {
	int turn;
	int got;
	struct cr_task task;
} *words;

static int make(const char *name)
{
	int n;

	cr_write_file(cr_path(name), "locked", 6);
	n = open(cr_path(name), O_RDWR | O_CLOEXEC);
	NEED(n >= 0);
	return n;
}

/* Whether somebody who opens the file anew cannot have the lock. */
static bool excludes(const char *name, int how)
{
	int n = open(cr_path(name), O_RDWR | O_CLOEXEC);
	bool locked;

	NEED(n >= 0);
	locked = flock(n, how | LOCK_NB) && errno == EWOULDBLOCK;
	close(n);
	return locked;
}

static void flock_setup(void)
{
	fd = make("exclusive");
	other = make("shared");
	NEED(!flock(fd, LOCK_EX) && !flock(other, LOCK_SH));
	NEED(dup(fd) >= 0);
}

static void flock_check(enum cr_phase phase)
{
	CHECK(excludes("exclusive", LOCK_SH));
	CHECK(excludes("shared", LOCK_EX));
	CHECK(!excludes("shared", LOCK_SH));
	CHECK_EQ(flock(fd, LOCK_UN), 0);
	CHECK(!excludes("exclusive", LOCK_EX));
	CHECK_EQ(flock(fd, LOCK_EX), 0);
}

static const struct flock ranges[] = {
	{ .l_type = F_WRLCK, .l_start = 0, .l_len = 3 },
	{ .l_type = F_RDLCK, .l_start = 3, .l_len = 1 },
	{ .l_type = F_WRLCK, .l_start = 1LL << 40, .l_len = 1 },
	{ .l_type = F_RDLCK, .l_start = 1LL << 41, .l_len = 0 },
};

static void lock_ranges(int n, int command)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct flock range = ranges[i];

		NEED(!fcntl(n, command, &range));
	}
}

/* What somebody else sees of the locks of a process, or of an open file (-1). */
static void look(const char *name, pid_t owner)
{
	struct flock seen = { .l_type = F_WRLCK };
	int n = open(cr_path(name), O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		CHECK_EQ(fcntl(n, F_OFD_GETLK, &seen), 0);
		CHECK_EQ(seen.l_type, ranges[i].l_type);
		CHECK_EQ(seen.l_start, ranges[i].l_start);
		CHECK_EQ(seen.l_len, ranges[i].l_len);
		CHECK_EQ(seen.l_pid, owner);
		seen = (struct flock) {
			.l_type = F_WRLCK,
			.l_start = ranges[i].l_start + ranges[i].l_len,
		};
	}
	/* OFD locks are asked for, as to close it lets no lock of them go. */
	close(n);
}

/* To close any descriptor of the file would let the locks go. */
static void look_from_child(void *arg)
{
	look("ranges", getppid());
}

static void posix_setup(void)
{
	fd = make("ranges");
	lock_ranges(fd, F_SETLK);
}

static void posix_check(enum cr_phase phase)
{
	cr_reap(cr_fork(look_from_child, NULL), 0);
}

static void ofd_setup(void)
{
	fd = make("ranges");
	lock_ranges(fd, F_OFD_SETLK);
}

static void ofd_check(enum cr_phase phase)
{
	look("ranges", -1);
}

/* An open file of two processes, and locks that each has for itself. */
static void own_locks(void *arg)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 1, .l_len = 1 };

	NEED(!fcntl(other, F_SETLK, &range));
	for (;;) {
		cr_set(&words->got, 1);
		while (!cr_get(&words->turn))
			cr_msleep(1);
		cr_set(&words->turn, 0);
		words->got = flock(fd, words->got == 2 ? LOCK_UN : LOCK_EX);
	}
}

static void shared_setup(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 0, .l_len = 1 };

	words = cr_shared(sizeof(*words));
	fd = make("one");
	other = make("ranges");
	NEED(!flock(fd, LOCK_EX));
	child = cr_fork(own_locks, NULL);
	NEED(!fcntl(other, F_SETLK, &range));
	cr_await(&words->got, 1);
}

/* The child lets the lock go that both have. */
static void shared_check(enum cr_phase phase)
{
	struct flock range = { .l_type = F_WRLCK };

	CHECK_EQ(fcntl(other, F_GETLK, &range), 0);
	CHECK_EQ(range.l_start, 1);
	CHECK_EQ(range.l_len, 1);
	CHECK_EQ(range.l_pid, child);

	CHECK(excludes("one", LOCK_SH));
	cr_set(&words->got, 2);
	cr_set(&words->turn, 1);
	cr_await(&words->got, 1);
	CHECK(!excludes("one", LOCK_SH));
	CHECK_EQ(flock(fd, LOCK_EX), 0);
}

/* Two that wait for the locks of their parent. */
static void wait_for_flock(void *arg)
{
	int n = open(cr_path("one"), O_RDWR);

	for (;;) {
		while (!cr_get(&words->turn))
			cr_msleep(1);
		cr_here(&words->task);
		cr_set(&words->got, flock(n, LOCK_EX) ? -errno : 1);
		while (cr_get(&words->turn))
			cr_msleep(1);
		flock(n, LOCK_UN);
		cr_set(&words->got, 0);
	}
}

static void wait_for_range(void *arg)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 1 };
	int n = open(cr_path("one"), O_RDWR);

	for (;;) {
		while (!cr_get(&words->turn))
			cr_msleep(1);
		cr_here(&words->task);
		range.l_type = F_WRLCK;
		cr_set(&words->got, fcntl(n, F_SETLKW, &range) ? -errno : 1);
		while (cr_get(&words->turn))
			cr_msleep(1);
		range.l_type = F_UNLCK;
		fcntl(n, F_SETLK, &range);
		cr_set(&words->got, 0);
	}
}

static void let_wait(void (*wait)(void *arg), long syscall)
{
	words = cr_shared(sizeof(*words));
	fd = make("one");
	child = cr_fork(wait, NULL);
	NEED(!flock(fd, LOCK_EX));
	lock_ranges(fd, F_SETLK);
	cr_set(&words->turn, 1);
	cr_await_blocked(&words->task, syscall);
}

static void check_waits(int how, int type, long syscall)
{
	struct flock all = { .l_type = type };

	CHECK_EQ(cr_get(&words->got), 0);
	CHECK_EQ(flock(fd, how), 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &all), 0);
	cr_await(&words->got, 1);
	cr_set(&words->turn, 0);
	cr_await(&words->got, 0);
	CHECK_EQ(flock(fd, LOCK_EX), 0);
	lock_ranges(fd, F_SETLK);
	cr_set(&words->turn, 1);
	cr_await_blocked(&words->task, syscall);
}

static void flock_waiter_setup(void)
{
	let_wait(wait_for_flock, SYS_flock);
}

static void flock_waiter_check(enum cr_phase phase)
{
	check_waits(LOCK_UN, F_WRLCK, SYS_flock);
}

static void range_waiter_setup(void)
{
	let_wait(wait_for_range, SYS_fcntl);
}

static void range_waiter_check(enum cr_phase phase)
{
	check_waits(LOCK_EX, F_UNLCK, SYS_fcntl);
}

/* A lock that was taken by a process that has ended since. */
static void lock_it(void *arg)
{
	NEED(!flock(fd, LOCK_EX));
}

static void dead_owner_setup(void)
{
	fd = make("exclusive");
	cr_reap(cr_fork(lock_it, NULL), 0);
}

static void dead_owner_check(enum cr_phase phase)
{
	CHECK(excludes("exclusive", LOCK_SH));
}

/* The lock stays with the mapping. */
static void only_mapped_setup(void)
{
	fd = make("exclusive");
	NEED(!flock(fd, LOCK_EX));
	NEED(mmap(NULL, 6, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	NEED(!close(fd));
}

/* Somebody else has locked the file meanwhile. */
static void taken_drive(struct cr_run *run)
{
	char path[80];
	int n;

	if (!cr_start(run) || !cr_check(run, CR_BEFORE) ||
	    !cr_checkpoint(run, "image", 0) || !cr_kill(run))
		return;
	snprintf(path, sizeof(path), "%s/exclusive", run->dir);
	n = open(path, O_RDWR | O_CLOEXEC);
	if (n < 0 || flock(n, LOCK_SH | LOCK_NB)) {
		cr_failed(run, "cannot lock %s", path);
		return;
	}
	if (cr_try_restart(run, "image", 0) != -EAGAIN ||
	    !cr_log_has(run, "somebody else has locked the file")) {
		cr_failed(run, "it had a lock that was taken");
		return;
	}
	close(n);
	if (cr_none_left(run) && cr_restart(run, "image", 0))
		cr_check(run, CR_AFTER);
}

static const struct cr_scenario scenarios[] = {
	{ "lock.flock", CR_ANY, flock_setup, flock_check },
	{ "lock.posix", CR_ANY, posix_setup, posix_check },
	{ "lock.ofd", CR_ANY, ofd_setup, ofd_check },
	{ "lock.shared", CR_TREE, shared_setup, shared_check },
	{ "lock.flock_waiter", CR_TREE, flock_waiter_setup,
	  flock_waiter_check },
	{ "lock.range_waiter", CR_TREE, range_waiter_setup,
	  range_waiter_check },
	{ "lock.dead_owner", CR_ANY, dead_owner_setup, dead_owner_check },
	{ "lock.only_mapped", CR_ANY, only_mapped_setup, dead_owner_check },
	{ "lock.taken", CR_TREE, flock_setup, flock_check,
	  .drive = taken_drive },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}
