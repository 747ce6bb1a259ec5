// SPDX-License-Identifier: GPL-2.0
/*
 * Shadow stacks, on which the CPU keeps return addresses once more.
 *
 * The whole program has one, where the CPU can: who restarts as well as what is
 * restarted. So each function that returns has shown that its address was kept.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cr.h"

#ifdef __x86_64__
#include <asm/prctl.h>

#ifndef SEGV_CPERR
#define SEGV_CPERR 10
#endif

#ifndef SHADOW_STACK_SET_TOKEN
#define SHADOW_STACK_SET_TOKEN 1
#endif

#define DEPTH 100

/* Without a call: the return address of that would not be on the new stack. */
static __always_inline long inline_prctl(long option, unsigned long arg)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(SYS_arch_prctl), "D"(option), "S"(arg)
		     : "rcx", "r11", "memory");
	return ret;
}

static unsigned long features(void)
{
	unsigned long now = 0;

	if (syscall(SYS_arch_prctl, ARCH_SHSTK_STATUS, &now))
		cr_skip("this kernel knows no shadow stacks");
	return now;
}

static void need_shadow_stack(void)
{
	if (!(features() & ARCH_SHSTK_SHSTK))
		cr_skip("this CPU has no shadow stacks");
}

static uint64_t *shadow_pointer(void)
{
	uint64_t *pointer = NULL;

	asm volatile("rdsspq %0" : "+r"(pointer));
	return pointer;
}

/* Returns to another place than where it was called from, as an attack would. */
static __attribute_noinline__ void go_astray(void)
{
	void **frame = __builtin_frame_address(0);

	asm volatile("" : "+r"(frame));
	frame[1] = (char *)frame[1] + 1;
}

static void astray(int sig, siginfo_t *info, void *context)
{
	_exit(info->si_code == SEGV_CPERR ? 7 : 8);
}

static void attacked_main(void *arg)
{
	struct sigaction act = { .sa_sigaction = astray, .sa_flags = SA_SIGINFO };

	NEED(!sigaction(SIGSEGV, &act, NULL));
	go_astray();
}

static unsigned long was_enabled;

static void enabled_setup(void)
{
	need_shadow_stack();
	was_enabled = features();
}

static void enabled_check(enum cr_phase phase)
{
	CHECK_EQ(features(), was_enabled);
	CHECK(shadow_pointer());
	cr_reap(cr_fork(attacked_main, NULL), 7);
}

/* Tasks that return from DEPTH calls when they are told to */
struct deep {
	int round;
	int waits;
	int depth;
	int ends;
};

static struct deep *deep;
static pid_t deep_pid;

static void wait_deep(struct deep *to)
{
	int round = cr_get(&to->round);

	cr_set(&to->waits, round + 1);
	while (cr_get(&to->round) == round)
		cr_msleep(1);
}

static __attribute_noinline__ int call_deep(struct deep *to, int more)
{
	int below;

	if (!more) {
		wait_deep(to);
		return 0;
	}
	below = call_deep(to, more - 1);
	/* A compiler could make it a loop. */
	asm volatile("" : "+r"(below));
	return below + 1;
}

static void deep_main(void *arg)
{
	struct deep *to = arg;

	while (!cr_get(&to->ends))
		cr_set(&to->depth, call_deep(to, DEPTH));
}

static void return_deep(struct deep *to)
{
	int round = cr_get(&to->round) + 1;

	cr_set(&to->depth, -1);
	cr_set(&to->round, round);
	cr_await(&to->waits, round + 1);
	CHECK_EQ(cr_get(&to->depth), DEPTH);
}

static void calls_setup(void)
{
	need_shadow_stack();
	deep = cr_shared(sizeof(*deep));
	deep_pid = cr_fork(deep_main, deep);
	cr_await(&deep->waits, 1);
}

static void calls_check(enum cr_phase phase)
{
	return_deep(deep);
}

/* A signal handler, whose frame is marked on the shadow stack */
static void on_signal(int sig)
{
	call_deep(deep, DEPTH);
}

static void handler_main(void *arg)
{
	NEED(signal(SIGUSR1, on_signal) != SIG_ERR);
	for (;;) {
		raise(SIGUSR1);
		cr_set(&deep->depth, DEPTH);
	}
}

static void handler_setup(void)
{
	need_shadow_stack();
	deep = cr_shared(sizeof(*deep));
	deep_pid = cr_fork(handler_main, NULL);
	cr_await(&deep->waits, 1);
}

/* A thread, whose shadow stack goes with it */
static pthread_t thread;
static struct deep thread_deep;

static void *thread_main(void *arg)
{
	deep_main(&thread_deep);
	return NULL;
}

static int count_shadow_stacks(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[256];
	int count = 0;

	NEED(smaps);
	while (fgets(line, sizeof(line), smaps))
		count += !strncmp(line, "VmFlags:", 8) && strstr(line, " ss");
	fclose(smaps);
	return count;
}

static void start_thread(void)
{
	memset(&thread_deep, 0, sizeof(thread_deep));
	NEED(!pthread_create(&thread, NULL, thread_main, NULL));
	cr_await(&thread_deep.waits, 1);
}

static void thread_setup(void)
{
	need_shadow_stack();
	start_thread();
}

static void thread_check(enum cr_phase phase)
{
	int count = count_shadow_stacks();

	return_deep(&thread_deep);
	cr_set(&thread_deep.ends, 1);
	cr_set(&thread_deep.round, cr_get(&thread_deep.round) + 1);
	NEED(!pthread_join(thread, NULL));
	CHECK_EQ(count_shadow_stacks(), count - 1);
	start_thread();
	CHECK_EQ(count_shadow_stacks(), count);
}

/* A task that waits for a child that has its memory, and its shadow stack */
static int borrowed_main(void *arg)
{
	call_deep(deep, DEPTH);
	_exit(0);
}

static void lender_main(void *arg)
{
	char *stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(stack != MAP_FAILED);
	for (;;) {
		pid_t pid = clone(borrowed_main, stack + (1 << 16),
				  CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

		NEED(pid > 0);
		cr_reap(pid, 0);
		cr_set(&deep->depth, DEPTH);
	}
}

static void vfork_setup(void)
{
	need_shadow_stack();
	deep = cr_shared(sizeof(*deep));
	deep_pid = cr_fork(lender_main, NULL);
	cr_await(&deep->waits, 1);
}

/* A stack that was mapped, with the token for who changes to it */
#define MAPPED 0x4000

static uint64_t *mapped;

static uint64_t *map_stack(void)
{
	void *map = (void *)syscall(__NR_map_shadow_stack, 0L, MAPPED,
				    SHADOW_STACK_SET_TOKEN);

	NEED(map != MAP_FAILED);
	return map;
}

static void mapped_setup(void)
{
	need_shadow_stack();
	mapped = map_stack();
}

static void mapped_check(enum cr_phase phase)
{
	uint64_t *top = mapped + MAPPED / sizeof(*mapped);

	CHECK_EQ(top[-1], (uintptr_t)top | 1);
	CHECK_EQ(top[-2], 0);
}

/* Changing to it uses the token up, and leaves one on the stack before. */
static uint64_t *changed;

static void change_main(void *arg)
{
	uint64_t *top = changed + MAPPED / sizeof(*changed);

	asm volatile("rstorssp (%0)\n saveprevssp" : : "r"(top - 1) : "memory");
	for (;;)
		cr_set(&deep->depth, call_deep(deep, DEPTH));
}

static void changed_setup(void)
{
	need_shadow_stack();
	changed = map_stack();
	deep = cr_shared(sizeof(*deep));
	deep_pid = cr_fork(change_main, NULL);
	cr_await(&deep->waits, 1);
}

static void changed_check(enum cr_phase phase)
{
	return_deep(deep);
}

/* Writing to it, which cannot be forbidden any more */
static uint64_t written;

static void write_shadow(uint64_t *to, uint64_t value)
{
	asm volatile("wrssq %1, %0" : "=m"(*to) : "r"(value) : "memory");
}

static void writable_setup(void)
{
	need_shadow_stack();
	mapped = map_stack();
	NEED(!syscall(SYS_arch_prctl, ARCH_SHSTK_ENABLE, ARCH_SHSTK_WRSS));
	NEED(!syscall(SYS_arch_prctl, ARCH_SHSTK_LOCK, ARCH_SHSTK_WRSS | 1UL << 60));
}

static void writable_check(enum cr_phase phase)
{
	CHECK_EQ(mapped[1], written);
	written++;
	write_shadow(mapped + 1, written);
	CHECK_EQ(features(), ARCH_SHSTK_SHSTK | ARCH_SHSTK_WRSS);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SHSTK_DISABLE, ARCH_SHSTK_WRSS), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SHSTK_ENABLE, 1UL << 60), -1);
	CHECK_EQ(errno, EPERM);
}

/* A task that has none, and never will; this is so on any CPU. */
static void locked_setup(void)
{
	if (features())
		NEED(!syscall(SYS_arch_prctl, ARCH_SHSTK_DISABLE,
			      ARCH_SHSTK_SHSTK));
	NEED(!syscall(SYS_arch_prctl, ARCH_SHSTK_LOCK,
		      ARCH_SHSTK_SHSTK | ARCH_SHSTK_WRSS));
}

static void locked_check(enum cr_phase phase)
{
	CHECK_EQ(features(), 0);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SHSTK_ENABLE, ARCH_SHSTK_SHSTK), -1);
	CHECK_EQ(errno, EPERM);
}

static const struct cr_scenario scenarios[] = {
	{ "shadow_stack.enabled", CR_ANY, enabled_setup, enabled_check },
	{ "shadow_stack.calls", CR_TREE, calls_setup, calls_check },
	{ "shadow_stack.in_handler", CR_TREE, handler_setup, calls_check },
	{ "shadow_stack.thread", CR_TREE, thread_setup, thread_check },
	{ "shadow_stack.vfork", CR_TREE, vfork_setup, calls_check },
	{ "shadow_stack.mapped", CR_ANY, mapped_setup, mapped_check },
	{ "shadow_stack.changed", CR_TREE, changed_setup, changed_check },
	{ "shadow_stack.writable", CR_ANY, writable_setup, writable_check },
	{ "shadow_stack.locked", CR_ANY, locked_setup, locked_check },
};

int main(int argc, char **argv)
{
	/* It never returns from here, where it has no address to return to. */
	inline_prctl(ARCH_SHSTK_ENABLE, ARCH_SHSTK_SHSTK);
	exit(cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios)));
}

#else

int main(void)
{
	ksft_exit_skip("this architecture has no shadow stacks\n");
}

#endif
