// SPDX-License-Identifier: GPL-2.0
/*
 * What only x86 has: segments, I/O ports, debug registers, 32-bit code.
 *
 * It is built twice, for 64-bit and for 32-bit programs. Code and data that
 * 32-bit code uses lie below 4 GB.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include "cr.h"

/* No other architecture has it. */
#ifdef SYS_modify_ldt
#include <asm/ldt.h>
#include <sys/io.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/* System calls of 32-bit code. */
#define NR32_sigreturn		119
#define NR32_nanosleep		162
#define NR32_rt_sigaction	174
#define NR32_set_thread_area	243
#define NR32_get_thread_area	244

static void *low(size_t size, int prot)
{
	void *mem = mmap(NULL, size, prot,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	NEED(mem != MAP_FAILED);
	return mem;
}

#define LOW(type) low(sizeof(type), PROT_READ | PROT_WRITE)

static long int80(long nr, const void *arg1, const void *arg2)
{
	int ret;

#ifdef __x86_64__
	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(nr), "b"(arg1), "c"(arg2), "d"(0), "S"(8L)
		     : "memory", "r8", "r9", "r10", "r11");
#else
	asm volatile("push %%esi\n mov $8, %%esi\n int $0x80\n pop %%esi"
		     : "=a"(ret)
		     : "a"(nr), "b"(arg1), "c"(arg2), "d"(0)
		     : "memory");
#endif
	return ret;
}

static unsigned int get_seg(char name)
{
	unsigned int sel = 0;

	switch (name) {
	case 'd':
		asm volatile("mov %%ds, %0" : "=r"(sel));
		break;
	case 'e':
		asm volatile("mov %%es, %0" : "=r"(sel));
		break;
	case 'f':
		asm volatile("mov %%fs, %0" : "=r"(sel));
		break;
	case 'g':
		asm volatile("mov %%gs, %0" : "=r"(sel));
		break;
	}
	return sel & 0xffff;
}

/* The segment register that the C library does not use. */
#ifdef __x86_64__
#define FREE_SEG	'g'
#define FREE_NAME	"gs"
#else
#define FREE_SEG	'f'
#define FREE_NAME	"fs"
#endif

static void load_free(unsigned int sel)
{
	asm volatile("mov %0, %%" FREE_NAME : : "r"(sel));
}

/* 32-bit code needs it for every string. */
static void load_es(unsigned int sel)
{
	if (sizeof(long) == 8)
		asm volatile("mov %0, %%es" : : "r"(sel));
}

static unsigned int read_free(unsigned int at)
{
	unsigned int word;

	asm volatile("movl %%" FREE_NAME ":(%1), %0"
		     : "=r"(word) : "r"((uintptr_t)at));
	return word;
}

/* Segments of set_thread_area(2): two of them are in use. */
static unsigned int *words;
static struct user_desc *areas;
static struct user_desc *got;
static unsigned int thread_sel;

static void make_area(struct user_desc *area, void *base)
{
	memset(area, 0, sizeof(*area));
	area->entry_number = -1;
	area->base_addr = (uintptr_t)base;
	area->limit = 0xfffff;
	area->seg_32bit = 1;
	area->limit_in_pages = 1;
	NEED(!int80(NR32_set_thread_area, area, NULL));
}

static void tls_setup(void)
{
	words = low(4096, PROT_READ | PROT_WRITE);
	areas = low(4096, PROT_READ | PROT_WRITE);
	got = areas + 8;
	cr_pattern(words, 4096, 5);
	make_area(&areas[0], words + 10);
	make_area(&areas[1], words + 20);
	thread_sel = areas[1].entry_number << 3 | 3;
	load_free(thread_sel);
	load_es(areas[0].entry_number << 3 | 3);
}

static void check_area(const struct user_desc *area)
{
	memset(got, 0, sizeof(*got));
	got->entry_number = area->entry_number;
	CHECK_EQ(int80(NR32_get_thread_area, got, NULL), 0);
	CHECK_MEM(got, area, sizeof(*got));
}

static void tls_check(enum cr_phase phase)
{
	if (sizeof(long) == 8)
		CHECK_EQ(get_seg('e'), areas[0].entry_number << 3 | 3);
	check_area(&areas[0]);
	check_area(&areas[1]);
	CHECK_EQ(get_seg(FREE_SEG), thread_sel);
	CHECK_EQ(read_free(4), words[21]);
}

/* The local descriptor table, with holes and every type of segment. */
static unsigned char ldt_was[100 * 8], ldt_is[100 * 8];
static unsigned int ldt_size;

static void write_ldt(const struct user_desc *desc)
{
	NEED(!syscall(SYS_modify_ldt, 0x11, desc, sizeof(*desc)));
}

static void ldt_setup(void)
{
	struct user_desc desc = {
		.entry_number = 3,
		.limit = 0xfff,
		.seg_32bit = 1,
	};
	unsigned int i;

	words = low(4096, PROT_READ | PROT_WRITE);
	cr_pattern(words, 4096, 6);
	desc.base_addr = (uintptr_t)(words + 4);
	write_ldt(&desc);
	/* 0 to 3: data, down, code, conforming code, which is never present. */
	for (i = 0; i < 16; i++) {
		struct user_desc other = {
			.entry_number = 40 + i,
			.base_addr = 0x12345678 + i,
			.limit = 0x89abc,
			.seg_32bit = 1,
			.contents = i & 3,
			.read_exec_only = i >> 2 & 1,
			.limit_in_pages = i >> 3,
			.seg_not_present = (i & 3) == 3 || i == 5,
		};

		write_ldt(&other);
	}
	load_free(3 << 3 | 7);
	ldt_size = sizeof(ldt_was);
	NEED(syscall(SYS_modify_ldt, 0, ldt_was, ldt_size) == ldt_size);
}

static void ldt_check(enum cr_phase phase)
{
	memset(ldt_is, 0xee, sizeof(ldt_is));
	CHECK_EQ(syscall(SYS_modify_ldt, 0, ldt_is, ldt_size), ldt_size);
	CHECK_MEM(ldt_is, ldt_was, sizeof(ldt_is));
	CHECK_EQ(get_seg(FREE_SEG), 3 << 3 | 7);
	CHECK_EQ(read_free(0), words[4]);
	CHECK_EQ(read_free(8), words[6]);
}

/* Threads share a table, a child has its own; both still write to theirs. */
struct tables {
	int turn[2];
	int of_child;
};

static struct tables *tables;

static int is_there(unsigned int entry)
{
	unsigned char all[200 * 8];
	uint64_t one;

	memset(all, 0, sizeof(all));
	syscall(SYS_modify_ldt, 0, all, sizeof(all));
	memcpy(&one, all + 8 * entry, 8);
	return !!one;
}

static void set_entry(unsigned int entry, bool there)
{
	struct user_desc desc = {
		.entry_number = entry,
		.base_addr = 0x1000,
		.limit = there,
		.seg_32bit = there,
		.read_exec_only = !there,
		.seg_not_present = !there,
	};

	if (!there)
		desc.base_addr = 0;
	syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc));
}

static void *table_thread(void *arg)
{
	for (;;) {
		if (cr_get(&tables->turn[0]) == 1) {
			set_entry(150, !is_there(150));
			cr_set(&tables->turn[0], 2);
		}
		cr_msleep(2);
	}
	return NULL;
}

static void table_child(void *arg)
{
	for (;;) {
		if (cr_get(&tables->turn[1]) == 1) {
			tables->of_child = is_there(150) | is_there(7) << 1;
			cr_set(&tables->turn[1], 2);
		}
		cr_msleep(2);
	}
}

static void tables_setup(void)
{
	pthread_t thread;

	tables = cr_shared(sizeof(*tables));
	set_entry(7, true);
	cr_fork(table_child, NULL);
	NEED(!pthread_create(&thread, NULL, table_thread, NULL));
}

static void tables_check(enum cr_phase phase)
{
	int was = is_there(150);

	CHECK(is_there(7));
	cr_set(&tables->turn[0], 1);
	cr_await(&tables->turn[0], 2);
	CHECK_EQ(is_there(150), !was);
	cr_set(&tables->turn[1], 1);
	cr_await(&tables->turn[1], 2);
	CHECK_EQ(tables->of_child, 2);
}

/* Ports: one that nobody minds, and its neighbours. */
#define PORT	0x80

static sigjmp_buf jump;
static bool may;

static void forbidden(int sig)
{
	siglongjmp(jump, 1);
}

static bool may_use(unsigned short port)
{
	struct sigaction act = { .sa_handler = forbidden }, old;

	sigaction(SIGSEGV, &act, &old);
	may = false;
	if (!sigsetjmp(jump, 1)) {
		inb(port);
		may = true;
	}
	sigaction(SIGSEGV, &old, NULL);
	return may;
}

static void ioperm_setup(void)
{
	if (ioperm(PORT, 1, 1) && errno == ENOSYS)
		cr_skip("this kernel has no ioperm(2)");
	NEED(!ioperm(PORT + 3, 2, 1));
	NEED(!ioperm(0xff80, 0x80, 1));
}

static void ioperm_check(enum cr_phase phase)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		CHECK_EQ(may_use(PORT + i), i == 0 || i == 3 || i == 4);
	CHECK(!may_use(0xff7f));
	CHECK(may_use(0xff80));
	CHECK(may_use(0xffff));
}

/* Tasks share what they may until one of them changes it. */
struct ports {
	int turn;
	bool may[2];
};

static struct ports *ports;

static void port_child(void *arg)
{
	if (arg)
		NEED(!ioperm(PORT + 1, 1, 1));
	for (;;) {
		if (cr_get(&ports->turn) == 1) {
			ports->may[0] = may_use(PORT);
			ports->may[1] = may_use(PORT + 1);
			cr_set(&ports->turn, 2);
		}
		cr_msleep(2);
	}
}

static void start_port_child(bool changes)
{
	if (ioperm(PORT, 1, 1) && errno == ENOSYS)
		cr_skip("this kernel has no ioperm(2)");
	ports = cr_shared(sizeof(*ports));
	cr_fork(port_child, changes ? ports : NULL);
}

static void port_shared_setup(void)
{
	start_port_child(false);
}

static void port_changed_setup(void)
{
	start_port_child(true);
}

static void port_check(bool changed)
{
	cr_set(&ports->turn, 1);
	cr_await(&ports->turn, 2);
	CHECK_EQ(ports->may[0], true);
	CHECK_EQ(ports->may[1], changed);
	CHECK(may_use(PORT));
	CHECK(!may_use(PORT + 1));
	/* What one of them does is not what the other does. */
	NEED(!ioperm(PORT, 1, 0));
	cr_set(&ports->turn, 1);
	cr_await(&ports->turn, 2);
	CHECK_EQ(ports->may[0], true);
	CHECK(!may_use(PORT));
	NEED(!ioperm(PORT, 1, 1));
}

static void port_shared_check(enum cr_phase phase)
{
	port_check(false);
}

static void port_changed_check(enum cr_phase phase)
{
	port_check(true);
}

static void iopl_setup(void)
{
	if (iopl(3) && errno == ENOSYS)
		cr_skip("this kernel has no iopl(2)");
	NEED(!iopl(3));
	NEED(!ioperm(PORT, 1, 1));
}

static void iopl_check(enum cr_phase phase)
{
	CHECK(may_use(PORT));
	CHECK(may_use(PORT + 1));
	/* The bitmap is another thing. */
	NEED(!iopl(0));
	CHECK(may_use(PORT));
	CHECK(!may_use(PORT + 1));
	NEED(!iopl(3));
}

#ifdef __x86_64__
/*
 * A thread that jumps to 32-bit code and counts there. Its stack is low, since
 * the upper half of the stack pointer is lost.
 */
struct counter {
	uint32_t count, stop;
	uint32_t target, selector;
	unsigned char code64[32], code32[32];
	uint32_t signals;
	unsigned char handler[16], restorer[16];
};

static struct counter *counter;
static pthread_t counting;
static int returned;

static void write_code(uint32_t selector, uint32_t base)
{
	unsigned char *p = counter->code64;
	uint32_t at = (uintptr_t)&counter->target - (uintptr_t)(p + 6);

	counter->selector = selector;
	counter->target = (uintptr_t)counter->code32 - base;
	/* ljmp *target(%rip); ret */
	memcpy(p, "\xff\x2d", 2);
	memcpy(p + 2, &at, 4);
	p[6] = 0xc3;

	/* incl count; cmpl $0, stop; je; ljmp back */
	p = counter->code32;
	memcpy(p, "\xff\x05", 2);
	at = (uintptr_t)&counter->count;
	memcpy(p + 2, &at, 4);
	memcpy(p + 6, "\x83\x3d", 2);
	at = (uintptr_t)&counter->stop;
	memcpy(p + 8, &at, 4);
	memcpy(p + 12, "\x00\x74\xf1\xea", 4);
	at = (uintptr_t)&counter->code64[6];
	memcpy(p + 16, &at, 4);
	memcpy(p + 20, "\x33\x00", 2);
}

static void *count32(void *arg)
{
	for (;;) {
		asm volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(0x2b));
		((void (*)(void))counter->code64)();
		cr_set(&returned, returned + 1);
		while (cr_get((int *)&counter->stop))
			cr_msleep(1);
	}
	return NULL;
}

static void start_counting(uint32_t selector, uint32_t base)
{
	pthread_attr_t attr;

	write_code(selector, base);
	NEED(!pthread_attr_init(&attr));
	NEED(!pthread_attr_setstack(&attr, low(1 << 18, PROT_READ | PROT_WRITE),
				    1 << 18));
	NEED(!pthread_create(&counting, &attr, count32, NULL));
}

static void far_setup(void)
{
	counter = low(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	start_counting(0x23, 0);
}

static void far_check(enum cr_phase phase)
{
	int count = cr_get((int *)&counter->count);
	int n = cr_get(&returned);

	cr_msleep(50);
	CHECK(cr_get((int *)&counter->count) != count);
	CHECK_EQ(cr_get(&returned), n);
	cr_set((int *)&counter->stop, 1);
	cr_await(&returned, n + 1);
	cr_set((int *)&counter->stop, 0);
	cr_msleep(20);
}

/* The same in a code segment of the local table that does not start at 0. */
static void far_ldt_setup(void)
{
	struct user_desc desc = {
		.entry_number = 2,
		.limit = 0xfffff,
		.seg_32bit = 1,
		.contents = 2,
		.limit_in_pages = 1,
	};

	counter = low(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	desc.base_addr = (uintptr_t)counter - 4096;
	write_ldt(&desc);
	start_counting(2 << 3 | 7, desc.base_addr);
}

/* A handler that 32-bit code has asked for gets the frame of 32-bit code. */
static void far_signal_setup(void)
{
	struct action32 {
		uint32_t handler, flags, restorer;
		uint32_t mask[2];
	} *act = LOW(struct action32);
	uint32_t at;

	far_setup();
	/* incl signals; ret */
	memcpy(counter->handler, "\xff\x05", 2);
	at = (uintptr_t)&counter->signals;
	memcpy(counter->handler + 2, &at, 4);
	counter->handler[6] = 0xc3;
	/* pop %eax; mov $sigreturn, %eax; int $0x80 */
	memcpy(counter->restorer, "\x58\xb8", 2);
	at = NR32_sigreturn;
	memcpy(counter->restorer + 2, &at, 4);
	memcpy(counter->restorer + 6, "\xcd\x80", 2);
	act->handler = (uintptr_t)counter->handler;
	act->restorer = (uintptr_t)counter->restorer;
	act->flags = 0x04000000 | SA_RESTART;
	NEED(!int80(NR32_rt_sigaction, (void *)SIGUSR2, act));
}

static void far_signal_check(enum cr_phase phase)
{
	uint32_t n = counter->signals;

	CHECK_EQ(pthread_kill(counting, SIGUSR2), 0);
	cr_await((int *)&counter->signals, n + 1);
	far_check(phase);
}
#endif

/* A child that sleeps in a system call for 32-bit code. */
struct sleeper {
	int ret;
	struct cr_task task;
	struct { int sec, nsec; } time, left;
};

static struct sleeper *sleeper;

static void sleep32(void *arg)
{
	struct sleeper *mine = LOW(struct sleeper);

	cr_here(&sleeper->task);
	for (;;) {
		mine->time.sec = 1;
		mine->time.nsec = 300000000;
		sleeper->ret = int80(NR32_nanosleep, &mine->time, &mine->left);
		cr_set(&sleeper->time.sec, sleeper->time.sec + 1);
	}
}

static void sleep_setup(void)
{
	sleeper = cr_shared(sizeof(*sleeper));
	cr_fork(sleep32, NULL);
	cr_await_blocked(&sleeper->task, NR32_nanosleep);
}

/* It goes on with what was left, as often as it is interrupted. */
static void sleep_check(enum cr_phase phase)
{
	unsigned long long start = cr_now_ns();
	int n = cr_get(&sleeper->time.sec);

	cr_await(&sleeper->time.sec, n + 1);
	CHECK(cr_now_ns() - start < 3000000000ULL);
	CHECK_EQ(sleeper->ret, 0);
	/* /proc has it under another pid then. */
	if (phase != CR_AGAIN)
		cr_await_blocked(&sleeper->task, NR32_nanosleep);
}

#ifndef __x86_64__
/* The vdso has the entry of system calls, and returns from handlers. */
static long through_vdso(long nr)
{
	long ret;

	asm volatile("call *%1" : "=a"(ret)
		     : "r"(getauxval(AT_SYSINFO)), "0"(nr) : "memory");
	return ret;
}

static int signals;

static void count_signal(int sig)
{
	signals++;
}

static void vdso_setup(void)
{
	if (!getauxval(AT_SYSINFO))
		cr_skip("there is no vdso for 32-bit code");
	/* Without SA_RESTORER, which signal() of the C library does not set. */
	signal(SIGUSR1, count_signal);
}

static void vdso_check(enum cr_phase phase)
{
	struct timespec now;

	CHECK_EQ(through_vdso(SYS_getpid), getpid());
	signals = 0;
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(signals, 1);
	CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
}
#endif

/* A breakpoint for what a child writes, as a tracer of so many bits sees it */
#define DEBUG_REGISTER(n)	offsetof(struct user, u_debugreg[n])
#define WATCH_WRITES		0xd0000040UL	/* in DR7: of 4 bytes, by DR3 */

static int *watched;
static pid_t traced;

static void watched_main(void *arg)
{
	for (;;) {
		cr_set(watched, cr_get(watched) + 1);
		cr_msleep(1);
	}
}

static void traced_stops(int signal)
{
	int status;

	CHECK_EQ(waitpid(traced, &status, 0), traced);
	CHECK_EQ(status & 0xffff, signal << 8 | 0x7f);
}

static unsigned int debug_register(int n)
{
	return ptrace(PTRACE_PEEKUSER, traced, DEBUG_REGISTER(n), 0);
}

static void breakpoint_setup(void)
{
	watched = cr_shared(sizeof(*watched));
	traced = cr_fork(watched_main, NULL);
	NEED(!ptrace(PTRACE_SEIZE, traced, 0, 0));
	NEED(!ptrace(PTRACE_INTERRUPT, traced, 0, 0));
	traced_stops(SIGTRAP);
	if (ptrace(PTRACE_POKEUSER, traced, DEBUG_REGISTER(3), watched))
		cr_skip("no hardware breakpoints");
	NEED(!ptrace(PTRACE_POKEUSER, traced, DEBUG_REGISTER(7), WATCH_WRITES));
	NEED(!ptrace(PTRACE_CONT, traced, 0, 0));
	traced_stops(SIGTRAP);
}

static void breakpoint_check(enum cr_phase phase)
{
	int before = *watched;

	CHECK_EQ(debug_register(3), (unsigned int)(uintptr_t)watched);
	CHECK_EQ(debug_register(6) & 0xf, 8);
	CHECK_EQ(debug_register(7), WATCH_WRITES);
	CHECK_EQ(ptrace(PTRACE_CONT, traced, 0, 0), 0);
	traced_stops(SIGTRAP);
	CHECK_EQ(*watched, before + 1);
}

static const struct cr_scenario scenarios[] = {
	{ "x86.thread_areas", CR_ANY, tls_setup, tls_check },
	{ "x86.ldt", CR_ANY, ldt_setup, ldt_check },
	{ "x86.ldt_shared", CR_TREE, tables_setup, tables_check },
	{ "x86.breakpoint", CR_TREE, breakpoint_setup, breakpoint_check },
	{ "x86.ioperm", CR_ANY, ioperm_setup, ioperm_check },
	{ "x86.ioperm_shared", CR_TREE, port_shared_setup, port_shared_check },
	{ "x86.ioperm_changed", CR_TREE, port_changed_setup,
	  port_changed_check },
	{ "x86.iopl", CR_ANY, iopl_setup, iopl_check },
#ifdef __x86_64__
	{ "x86.far_jump", CR_TREE, far_setup, far_check },
	{ "x86.far_jump_ldt", CR_TREE, far_ldt_setup, far_check },
	{ "x86.far_jump_signal", CR_TREE, far_signal_setup,
	  far_signal_check },
#else
	{ "x86.vdso", CR_ANY, vdso_setup, vdso_check },
#endif
	{ "x86.int80_sleep", CR_TREE, sleep_setup, sleep_check },
};

int main(int argc, char **argv)
{
	return cr_main(argc, argv, scenarios, ARRAY_SIZE(scenarios));
}

#else

int main(void)
{
	ksft_exit_skip("this is not x86\n");
}

#endif
