/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small harness for checkpoint/restart above kselftest_harness.h.
 *
 * A scenario is a state of a process tree that can be observed from inside.
 * Its setup() makes the state, in the root process of a tree of its own; its
 * check() looks whether the state is there, in the same process, each time
 * that the driver asks:
 *
 *	CR_BEFORE	right after setup()
 *	CR_AFTER	in the original, after a checkpoint that let it run on
 *	CR_AGAIN	in the restarted tree, after the original was killed
 *
 * check() leaves the state as it found it. Each pair of a scenario and a mode
 * is one test, named subject.scenario.mode.
 *
 * The driver and the tree share no descriptor and no memory, so that a tree in
 * container mode has no leak: they talk through small files in a directory
 * that each test gets, which both open by path and close at once.
 */
#ifndef SELFTEST_CHECKPOINT_CR_H
#define SELFTEST_CHECKPOINT_CR_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/checkpoint.h>

#include "kselftest.h"

#ifndef __NR_checkpoint
#define __NR_checkpoint	473
#endif
#ifndef __NR_restart
#define __NR_restart	474
#endif

/*
 * Nothing that a test waits for takes longer, even on an emulated machine. A
 * kernel that checks itself is as many times slower as CR_SLOW says, which is
 * in the environment.
 */
#define CR_TIMEOUT_MS	(20000 * cr_slowness())
unsigned int cr_slowness(void);

/* What a checkpoint says about a thing that it cannot bring back exactly. */
#define CR_REFUSED	EOPNOTSUPP

/* Whether a call failed since the kernel has no such thing. */
bool cr_unsupported(int err);

/* Where a descriptor that the driver hands to the tree appears in it. */
#define CR_INHERITED_FD	100

enum cr_phase { CR_BEFORE, CR_AFTER, CR_AGAIN };

enum cr_mode {
	CR_SUBTREE	= 1,	/* any process, with its descendants */
	CR_CONTAINER	= 2,	/* the init of new pid, ipc and uts namespaces */
	CR_SELF		= 4,	/* a single task that saves itself */
	CR_TREE		= CR_SUBTREE | CR_CONTAINER,
	CR_ANY		= CR_TREE | CR_SELF,
};

struct cr_run;

struct cr_scenario {
	const char *name;
	unsigned int modes;
	void (*setup)(void);
	void (*check)(enum cr_phase phase);

	/*
	 * A checkpoint that must fail with this errno and with this text in
	 * the log, and leave the tree undisturbed. When the kernel learns how
	 * to save the state, these two go, and the rest is its test.
	 */
	int refused;
	const char *log;

	/*
	 * In the driver, before the tree starts. Returns a descriptor that the
	 * tree gets as CR_INHERITED_FD, or -1.
	 */
	int (*prepare)(struct cr_run *run);

	/* In the driver: replaces the whole course of the test. */
	void (*drive)(struct cr_run *run);
	unsigned int kind;	/* of records, for those that need one */

	/*
	 * Whether the tree changes files while it is not checked, so that an
	 * image is of no use once the tree has run on.
	 */
	bool goes_on;

	/* Whether signals become pending while the tree is frozen. */
	bool ticks;

	/* Whether to look at every task from outside would take too long. */
	bool many_tasks;

	/* Whether the root is in a user namespace with the ids of its parent. */
	bool in_user_ns;
};

/* Runs the table as KTAP tests, or one victim of it when argv says so. */
int cr_main(int argc, char **argv, const struct cr_scenario *table, size_t len);

static inline long sys_checkpoint(pid_t pid, int fd, unsigned long flags,
				  int logfd)
{
	return syscall(__NR_checkpoint, pid, fd, flags, logfd);
}

static inline long sys_restart(pid_t pid, int fd, unsigned long flags,
			       int logfd)
{
	return syscall(__NR_restart, pid, fd, flags, logfd);
}

/*
 * The driver's side (cr_driver.c)
 *
 * Every step returns false, or a negative errno, after it has told why through
 * cr_failed(); a test that drives itself may then simply return. What a test
 * made is killed and reaped when it ends.
 */
struct cr_run {
	const struct cr_scenario *scenario;
	enum cr_mode mode;
	char dir[64];
	pid_t root;
	int inherited;
	/* What the process does that cr_become() makes, before it is the task. */
	void (*as_caller)(void);
	bool failed;
	bool skipped;
	char reason[256];
};

__printf(2, 3) void cr_failed(struct cr_run *run, const char *fmt, ...);
__printf(2, 3) void cr_skipped(struct cr_run *run, const char *fmt, ...);

bool cr_start(struct cr_run *run);
bool cr_check(struct cr_run *run, enum cr_phase phase);
bool cr_kill(struct cr_run *run);
bool cr_none_left(struct cr_run *run);
int cr_count_children(void);

/* Both make the log file anew; the plain ones do not report a failure. */
long cr_try_checkpoint(struct cr_run *run, const char *image,
		       unsigned long flags);
long cr_try_restart(struct cr_run *run, const char *image, unsigned long flags);
bool cr_checkpoint(struct cr_run *run, const char *image, unsigned long flags);
bool cr_restart(struct cr_run *run, const char *image, unsigned long flags);
/* Whether nobody has an image open, or has not in a moment. */
bool cr_image_is_free(struct cr_run *run, const char *image);

/* Lets a new process with that pid become the task of an image. */
bool cr_become(struct cr_run *run, const char *image, pid_t pid);
bool cr_log_has(struct cr_run *run, const char *text);
unsigned long cr_mode_flags(enum cr_mode mode);

/* The course of a test whose image may have so many bytes. */
void cr_drive_small(struct cr_run *run, unsigned long max);
bool cr_thaw(struct cr_run *run);

/*
 * What the kernel tells about all tasks of a tree that is frozen
 * (cr_observe.c). cr_same() tells the differences through cr_failed() when
 * it is asked to.
 */
struct cr_facts;

struct cr_facts *cr_observe(struct cr_run *run);
bool cr_same(struct cr_run *run, const struct cr_facts *was,
	     const struct cr_facts *is, bool told);
void cr_forget(struct cr_facts *all);

/*
 * The victim's side (cr_victim.c), for setup(), check() and all that they start
 *
 * CHECK() and its kin note a failure and go on; NEED() ends the process.
 */
int cr_victim(const struct cr_scenario *scenario, enum cr_mode mode,
	      const char *dir);

extern const char *cr_dir;
extern enum cr_mode cr_mode;
extern bool cr_in_user_ns;

/* What the root can ask for itself is the same from one check to the next. */
void cr_observe_self(void);
void cr_compare_self(void);

__printf(3, 4) void cr_note(const char *file, int line, const char *fmt, ...);
__noreturn void cr_fatal(const char *file, int line, const char *what);
__noreturn __printf(1, 2) void cr_skip(const char *fmt, ...);
void cr_check_eq(const char *file, int line, const char *what, long long got,
		 long long want);
void cr_check_str(const char *file, int line, const char *what,
		  const char *got, const char *want);
void cr_check_mem(const char *file, int line, const char *what,
		  const void *got, const void *want, size_t len);

#define CHECK(cond) \
	((cond) ? (void)0 : cr_note(__FILE__, __LINE__, "not so: %s", #cond))
#define CHECK_EQ(got, want) \
	cr_check_eq(__FILE__, __LINE__, #got, (long long)(got), \
		    (long long)(want))
#define CHECK_MEM(got, want, len) \
	cr_check_mem(__FILE__, __LINE__, #got, got, want, len)
#define CHECK_STR(got, want) \
	cr_check_str(__FILE__, __LINE__, #got, got, want)
#define NEED(cond) \
	((cond) ? (void)0 : cr_fatal(__FILE__, __LINE__, #cond))

/* A path in the test's directory, in one of a few static buffers. */
const char *cr_path(const char *name);

/* Reads a whole small file, NUL-terminated; returns its length or -1. */
ssize_t cr_slurp(const char *path, char *buf, size_t size);
void cr_write_file(const char *path, const void *data, size_t len);

/* Anonymous memory that the children share. */
void *cr_shared(size_t size);

/* A child that runs fn() and exits with 0, unless fn() exits before. */
pid_t cr_fork(void (*fn)(void *arg), void *arg);
void cr_msleep(unsigned int ms);
unsigned long long cr_now_ns(void);

/* Words by which the processes and threads of a tree wait for each other. */
static inline int cr_get(const int *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void cr_set(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Waits until the word has the value; notes a failure when it takes long. */
#define cr_await(word, value) \
	cr_await_word(__FILE__, __LINE__, #word, word, value)
bool cr_await_word(const char *file, int line, const char *what,
		   const int *word, int value);

/*
 * A task notes where /proc has it, then others can wait until it sleeps in a
 * system call. What it noted holds until a restart in new pids.
 */
struct cr_task {
	char proc[64];
};

void cr_here(struct cr_task *task);
bool cr_blocks_in(const struct cr_task *task, long nr);
#define cr_await_blocked(task, nr) \
	cr_await_syscall(__FILE__, __LINE__, task, nr)
bool cr_await_syscall(const char *file, int line, const struct cr_task *task,
		      long nr);

/* Reaps a child that ought to have exited with the code. */
#define cr_reap(pid, code) cr_reap_child(__FILE__, __LINE__, pid, code)
void cr_reap_child(const char *file, int line, pid_t pid, int code);

/* Bytes that depend on their place, so that a shift or a mix-up shows. */
void cr_pattern(void *buf, size_t len, unsigned int seed);
size_t cr_pattern_differs(const void *buf, size_t len, unsigned int seed);
void cr_check_pattern(const char *file, int line, const char *what,
		      const void *buf, size_t len, unsigned int seed);
#define CHECK_PATTERN(buf, len, seed) \
	cr_check_pattern(__FILE__, __LINE__, #buf, buf, len, seed)

#endif /* SELFTEST_CHECKPOINT_CR_H */
